// The two clocks: wall time for what users see, monotonic time for waiting and measuring.
// Nanoseconds in int64.
#pragma once

#include <time.h>

#include <cstdint>

namespace crisp::base {

inline int64_t ClockNanos(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}
// Nanoseconds since 1970, as CRI timestamps are.
inline int64_t WallNanos() { return ClockNanos(CLOCK_REALTIME); }
// Nanoseconds since boot, comparable between processes (CLOCK_MONOTONIC).
inline int64_t MonotonicNanos() { return ClockNanos(CLOCK_MONOTONIC); }

}  // namespace crisp::base
