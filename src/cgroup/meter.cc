#include "cgroup/meter.h"

#include <utility>

#include "base/clock.h"
#include "cgroup/processes.h"

namespace crisp::cgroup {

void Meter::Read(const Layout& layout, absl::string_view path, Processes processes) {
  absl::MutexLock reading(&reading_);
  absl::StatusOr<Stats> stats = ReadStats(layout, path, Detail::kUsage, &files_);
  const bool count = stats.ok() && processes == Processes::kCount;
  const uint64_t counted = count ? CountProcesses(layout, path, &files_) : 0;
  absl::MutexLock lock(&mu_);
  read_at_ns_ = stats.ok() ? base::MonotonicNanos() : 0;
  if (path_ != path) {
    path_ = std::string(path);
    rate_.emplace();
  }
  if (!stats.ok()) {
    last_.reset();
    return;
  }
  last_.emplace();
  if (stats->cpu.usage_ns.has_value())
    last_->nano_cores = rate_->Update(*stats->cpu.usage_ns, read_at_ns_);
  last_->stats = *std::move(stats);
  last_->processes = counted;
  last_->taken_at_ns = base::WallNanos();
}

std::optional<Usage> Meter::last(absl::string_view path) const {
  absl::ReaderMutexLock lock(&mu_);
  return path == path_ ? last_ : std::nullopt;
}

int64_t Meter::read_at_ns() const {
  absl::ReaderMutexLock lock(&mu_);
  return read_at_ns_;
}

}  // namespace crisp::cgroup
