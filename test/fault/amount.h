// How much of a fault program's work is done: all of it in the tier `fault` of test/run, a part of
// it, in a few minutes for all programs together, in the tier `bounded`.
#pragma once

#include <cstdlib>

namespace crisp::test {

inline bool IsFull() { return getenv("CRISP_TEST_FULL") != nullptr; }
inline int Amount(int bounded, int full) { return IsFull() ? full : bounded; }

}  // namespace crisp::test
