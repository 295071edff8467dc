#include "runtime/oldest_first.h"

#include <algorithm>

namespace crisp::runtime {

bool ReadOldestFirst(std::vector<Reading> readings, base::Deadline deadline) {
  std::sort(readings.begin(), readings.end(),
            [](const Reading& a, const Reading& b) { return a.last_ns < b.last_ns; });
  for (const Reading& reading : readings) {
    if (reading.last_ns != 0 && deadline.Passed()) return false;
    reading.read();
  }
  return true;
}

}  // namespace crisp::runtime
