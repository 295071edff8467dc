// How long the calls of a test took.
#pragma once

#include <algorithm>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"

namespace crisp::test {

class Times {
 public:
  template <typename Call>
  void Take(const Call& call) {
    const int64_t begin = base::MonotonicNanos();
    call();
    taken_.push_back(absl::Nanoseconds(base::MonotonicNanos() - begin));
  }
  // The time that this part of the calls did not exceed; there must have been one.
  absl::Duration Quantile(double part) {
    std::sort(taken_.begin(), taken_.end());
    return taken_[static_cast<size_t>(part * static_cast<double>(taken_.size() - 1))];
  }
  size_t count() const { return taken_.size(); }

 private:
  std::vector<absl::Duration> taken_;
};

inline double Milliseconds(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

}  // namespace crisp::test
