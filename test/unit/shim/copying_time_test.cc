// What a shim's copying of output costs, by arithmetic alone. log_test.cc measures it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>

#include "shim/output.h"

namespace crisp::shim {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kNow = 3'600'000 * kMs;

TEST_CASE("a copy is paid for with four times its CPU time, also one of more than 100 ms") {
  // Quiet so far: 100 ms of the pause are given.
  CHECK(PaidAt(0, 10 * kMs, kNow) <= kNow);
  CHECK(PaidAt(0, 25 * kMs, kNow) == kNow);
  CHECK(PaidAt(0, 26 * kMs, kNow) == kNow + 4 * kMs);
  CHECK(PaidAt(0, 110 * kMs, kNow) == kNow + 340 * kMs);
  CHECK(PaidAt(0, 2'000 * kMs, kNow) == kNow + 7'900 * kMs);
  // Not paid for yet: all of it comes on top.
  CHECK(PaidAt(kNow, 110 * kMs, kNow) == kNow + 440 * kMs);
  CHECK(PaidAt(kNow + 50 * kMs, 110 * kMs, kNow) == kNow + 490 * kMs);
}

TEST_CASE("copying without end takes a quarter of a CPU at most, however long one copy takes") {
  for (const int64_t cpu_ms : {1, 24, 99, 101, 150, 1'000}) {
    INFO(cpu_ms << " ms for a copy");
    int64_t now = kNow;
    int64_t paid_at = 0;
    constexpr int kCopies = 1'000;
    for (int i = 0; i < kCopies; ++i) {
      now += cpu_ms * kMs;
      paid_at = PaidAt(paid_at, cpu_ms * kMs, now);
      now = std::max(now, paid_at);
    }
    const int64_t elapsed = now - kNow;
    CHECK(4 * kCopies * cpu_ms * kMs <= elapsed + kBurstNs);
  }
}

}  // namespace
}  // namespace crisp::shim
