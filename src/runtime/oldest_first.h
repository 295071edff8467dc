// Reading as many of many values as time allows. Pure but for the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/deadline.h"

namespace crisp::runtime {

struct Reading {
  int64_t last_ns = 0;  // when it was read last, by the monotonic clock; 0: never or in vain
  std::function<void()> read;
};

// Reads all that have never been read, and then, until the deadline, the others, the oldest first.
// False when some were left out.
bool ReadOldestFirst(std::vector<Reading> readings, base::Deadline deadline);

}  // namespace crisp::runtime
