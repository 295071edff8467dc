// Deadlines and time spans on CLOCK_MONOTONIC (clock_gettime(2)): a change of the wall clock
// neither shortens a grace period nor prolongs a retry. Wall-clock deadlines exist only at the edge
// where gRPC hands them over (rpc/) and are converted there, once.
//
// Plain value, thread-safe as int64_t is. Units: nanoseconds inside, absl::Duration outside.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "base/clock.h"

namespace crisp::base {

class Deadline {
 public:
  // Never passes.
  constexpr Deadline() = default;
  static constexpr Deadline Never() { return Deadline(); }
  // `span` from now; a negative one has passed.
  static Deadline In(absl::Duration span) {
    if (span == absl::InfiniteDuration()) return Never();
    const int64_t now = MonotonicNanos();
    const int64_t nanos = absl::ToInt64Nanoseconds(span);
    return At(nanos > kNever - now ? kNever : now + nanos);
  }
  // A value of base::MonotonicNanos().
  static constexpr Deadline At(int64_t monotonic_ns) {
    Deadline deadline;
    deadline.monotonic_ns_ = monotonic_ns;
    return deadline;
  }

  constexpr bool is_never() const { return monotonic_ns_ == kNever; }
  bool Passed() const { return !is_never() && MonotonicNanos() >= monotonic_ns_; }
  // Zero once it has passed; absl::InfiniteDuration() for Never().
  absl::Duration Left() const {
    if (is_never()) return absl::InfiniteDuration();
    return absl::Nanoseconds(std::max<int64_t>(0, monotonic_ns_ - MonotonicNanos()));
  }
  // For poll(2): milliseconds left, rounded up; -1 for Never().
  int PollMillis() const {
    if (is_never()) return -1;
    const int64_t millis = absl::ToInt64Milliseconds(Left() + absl::Nanoseconds(999'999));
    return static_cast<int>(std::min<int64_t>(millis, INT32_MAX));
  }
  // Comparable with base::MonotonicNanos(), INT64_MAX for Never().
  constexpr int64_t monotonic_ns() const { return monotonic_ns_; }

  friend constexpr bool operator<(Deadline a, Deadline b) {
    return a.monotonic_ns_ < b.monotonic_ns_;
  }
  friend constexpr bool operator==(Deadline a, Deadline b) {
    return a.monotonic_ns_ == b.monotonic_ns_;
  }

 private:
  static constexpr int64_t kNever = INT64_MAX;
  int64_t monotonic_ns_ = kNever;
};

}  // namespace crisp::base
