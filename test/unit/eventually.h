// For what no event tells a test of.
#pragma once

#include <unistd.h>

#include "absl/time/time.h"
#include "base/deadline.h"

namespace crisp::test {

// Asks again and again, with `pause` in between, for at most `seconds`. Whether `condition()` was
// true at last.
template <typename Condition>
bool Eventually(const Condition& condition, int seconds = 30,
                absl::Duration pause = absl::Milliseconds(5)) {
  const base::Deadline give_up = base::Deadline::In(absl::Seconds(seconds));
  while (!condition()) {
    if (give_up.Passed()) return false;
    usleep(static_cast<useconds_t>(absl::ToInt64Microseconds(pause)));
  }
  return true;
}

}  // namespace crisp::test
