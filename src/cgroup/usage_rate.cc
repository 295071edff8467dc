#include "cgroup/usage_rate.h"

namespace crisp::cgroup {

std::optional<uint64_t> UsageRate::Update(uint64_t usage_ns, int64_t now_ns) {
  absl::MutexLock lock(&mu_);
  const bool restarted = read_ && usage_ns < last_usage_ns_;
  if (read_ && !restarted && now_ns - last_ns_ < kMinWindowNs) return rate_;
  if (read_ && !restarted) {
    const double seconds = static_cast<double>(now_ns - last_ns_) / 1e9;
    rate_ = static_cast<uint64_t>(static_cast<double>(usage_ns - last_usage_ns_) / seconds);
  } else {
    rate_.reset();
  }
  read_ = true;
  last_usage_ns_ = usage_ns;
  last_ns_ = now_ns;
  return rate_;
}

}  // namespace crisp::cgroup
