// The CPU usage per second that CRI calls usage_nano_cores, computed from a counter. The window is
// the time between two readings. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace crisp::cgroup {

class UsageRate {
 public:
  // A reading that is closer than this to the last one does not move the window: with several
  // readers the window would otherwise get too short to mean anything.
  static constexpr int64_t kMinWindowNs = 1'000'000'000;

  // `usage_ns` at `now_ns` (monotonic clock). CPU nanoseconds per second over the last window;
  // absent until there are two readings kMinWindowNs apart, and after the counter was reset.
  std::optional<uint64_t> Update(uint64_t usage_ns, int64_t now_ns);

 private:
  absl::Mutex mu_;
  bool read_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t last_usage_ns_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t last_ns_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<uint64_t> rate_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::cgroup
