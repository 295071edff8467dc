// When a request to a registry is sent again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/call.h"
#include "base/deadline.h"
#include "base/status_macros.h"
#include "base/wait.h"
#include "image/http_client.h"
#include "image/pull_options.h"

namespace crisp::image {

// Seconds or an HTTP date (RFC 9110, 10.2.3).
inline absl::Duration RetryAfter(const HttpResponse& response) {
  const std::string text(response.Header("retry-after"));
  int64_t seconds = 0;
  if (absl::SimpleAtoi(text, &seconds)) return absl::Seconds(std::max<int64_t>(0, seconds));
  absl::Time when;
  std::string error;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &when, &error))
    return absl::ZeroDuration();
  return when - absl::Now();
}

// Pauses between attempts of one request.
class Backoff {
 public:
  explicit Backoff(const PullOptions& options) : options_(options), pause_(options.backoff) {}

  // False when `attempts` are used up; otherwise waits. `asked` is the server's Retry-After, which
  // max_retry_after bounds.
  absl::StatusOr<bool> Next(int attempts, absl::Duration asked, const base::Call& call) {
    if (++failures_ >= attempts) return false;
    const absl::Duration pause = std::max(pause_, std::min(asked, options_.max_retry_after));
    pause_ *= 2;
    const base::Latch never;  // only the caller's leaving ends the pause early
    (void)never.Wait(call.Before(base::Deadline::In(pause)));
    CRISP_RETURN_IF_ERROR(call.Check());
    return true;
  }
  void Reset() {
    failures_ = 0;
    pause_ = options_.backoff;
  }

 private:
  const PullOptions& options_;
  absl::Duration pause_;
  int failures_ = 0;
};

}  // namespace crisp::image
