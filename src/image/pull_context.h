// How a caller ends its own waiting: a deadline and a cancellation flag, both polled every few
// milliseconds while a pull waits for the network. Copyable; `cancelled` must be thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>

#include "absl/status/status.h"
#include "base/clock.h"

namespace crisp::image {

struct PullContext {
  int64_t deadline_nanos = std::numeric_limits<int64_t>::max();  // base::MonotonicNanos()
  std::function<bool()> cancelled;                               // may be empty

  // kDeadlineExceeded, kCancelled or OK.
  absl::Status Check() const {
    if (cancelled && cancelled()) return absl::CancelledError("pull cancelled");
    if (base::MonotonicNanos() >= deadline_nanos) {
      return absl::DeadlineExceededError("pull deadline exceeded");
    }
    return absl::OkStatus();
  }
};

}  // namespace crisp::image
