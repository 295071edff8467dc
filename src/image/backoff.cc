#include "image/backoff.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "base/deadline.h"
#include "base/status_macros.h"
#include "base/wait.h"

namespace crisp::image {

absl::Duration RetryAfter(const HttpResponse& response) {
  const std::string text(response.Header("retry-after"));
  int64_t seconds = 0;
  if (absl::SimpleAtoi(text, &seconds)) return absl::Seconds(std::max<int64_t>(0, seconds));
  absl::Time when;
  std::string error;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &when, &error))
    return absl::ZeroDuration();
  return when - absl::Now();
}

absl::StatusOr<bool> Backoff::Next(int attempts, absl::Duration asked, const base::Call& call) {
  if (++failures_ >= attempts || give_up_.Passed()) return false;
  const absl::Duration pause = std::max(pause_, std::min(asked, options_.max_retry_after));
  pause_ *= 2;
  const base::Latch never;  // only the caller's leaving ends the pause early
  (void)never.Wait(call.Before(base::Deadline::In(pause)));
  CRISP_RETURN_IF_ERROR(call.Check());
  return true;
}

void Backoff::Reset() {
  failures_ = 0;
  pause_ = options_.backoff;
  give_up_ = base::Deadline::In(options_.silence_timeout);
}

}  // namespace crisp::image
