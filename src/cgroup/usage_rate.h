// A rate from a counter that is read now and then: what CRI calls usage_nano_cores. There is no
// sampler: the readers' own interval is the window. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace crisp::cgroup {

class UsageRate {
 public:
  // Readings closer together than this do not move the window, so that several readers do not
  // shorten it to noise.
  static constexpr int64_t kMinWindowNs = 1'000'000'000;

  // `usage_ns` at `now_ns` (monotonic clock). CPU nanoseconds per second over the last window;
  // absent until there are two readings kMinWindowNs apart, and after the counter started anew.
  std::optional<uint64_t> Update(uint64_t usage_ns, int64_t now_ns);

 private:
  absl::Mutex mu_;
  bool read_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t last_usage_ns_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t last_ns_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<uint64_t> rate_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::cgroup
