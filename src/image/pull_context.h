// The deadline and the cancellation flag of a caller. A pull polls both every few milliseconds
// while it waits for the network. Copyable; `cancelled` must be thread-safe.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "base/deadline.h"

namespace crisp::image {

struct PullContext {
  base::Deadline deadline;          // never passes by default
  std::function<bool()> cancelled;  // may be empty

  // kDeadlineExceeded, kCancelled or OK.
  absl::Status Check() const {
    if (cancelled && cancelled()) return absl::CancelledError("pull cancelled");
    if (deadline.Passed()) {
      return absl::DeadlineExceededError("pull deadline exceeded");
    }
    return absl::OkStatus();
  }
};

}  // namespace crisp::image
