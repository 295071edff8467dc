// When a request to a registry is sent again.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/deadline.h"
#include "image/http_client.h"
#include "image/pull_options.h"

namespace crisp::image {

// Seconds or an HTTP date (RFC 9110, 10.2.3); at most 0 if there is neither.
absl::Duration RetryAfter(const HttpResponse& response);

// Pauses between attempts of one request. One thread.
class Backoff {
 public:
  // Borrows the options.
  explicit Backoff(const PullOptions& options) : options_(options) { Reset(); }

  // False when `attempts` or silence_timeout are used up; otherwise waits. `asked` is the server's
  // Retry-After, which max_retry_after bounds. The error is that of `call`, whose end also ends the
  // pause.
  absl::StatusOr<bool> Next(int attempts, absl::Duration asked, const base::Call& call);
  // When the next attempt's answer must have begun, unless progress_timeout ends later; see
  // silence_timeout. The same for each of its requests, as after redirects.
  base::Deadline AnswerBy() const { return failures_ == 0 ? base::Deadline::At(0) : give_up_; }
  // After progress: as if nothing had failed yet.
  void Reset();

 private:
  const PullOptions& options_;
  absl::Duration pause_;
  base::Deadline give_up_;
  int failures_ = 0;
};

}  // namespace crisp::image
