// Reads the usage of one group and keeps it, with the time of the reading, for answers that have no
// time to read. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "cgroup/kept_files.h"
#include "cgroup/layout.h"
#include "cgroup/stats.h"
#include "cgroup/usage_rate.h"

namespace crisp::cgroup {

struct Usage {
  Stats stats;                         // Detail::kUsage
  std::optional<uint64_t> nano_cores;  // CPU time per second, between two readings
  uint64_t processes = 0;
  int64_t taken_at_ns = 0;  // wall clock
};

class Meter {
 public:
  enum class Processes { kCount, kLeaveOut };  // to count them takes the longest

  // Reads the counters of the group. When it is gone, last() is empty from now on.
  // A path that is not the last one begins anew.
  void Read(const Layout& layout, absl::string_view path, Processes processes);
  // Of a reading of this path.
  std::optional<Usage> last(absl::string_view path) const;
  // When there was something to read last, by the monotonic clock; 0: not yet, or not any more.
  int64_t read_at_ns() const;

  KeptFiles& files() { return files_; }

 private:
  KeptFiles files_;
  absl::Mutex reading_;  // so that counters never seem to fall
  mutable absl::Mutex mu_;
  std::string path_ ABSL_GUARDED_BY(mu_);
  std::optional<UsageRate> rate_ ABSL_GUARDED_BY(mu_);
  std::optional<Usage> last_ ABSL_GUARDED_BY(mu_);
  int64_t read_at_ns_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace crisp::cgroup
