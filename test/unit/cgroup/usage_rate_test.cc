#include "cgroup/usage_rate.h"

#include <catch2/catch.hpp>

using crisp::cgroup::UsageRate;

TEST_CASE("a rate needs two readings, a second apart") {
  constexpr int64_t kSecond = 1'000'000'000;
  UsageRate rate;
  CHECK_FALSE(rate.Update(1000, 10 * kSecond).has_value());
  CHECK_FALSE(rate.Update(9000, 10 * kSecond + 1).has_value());
  CHECK(rate.Update(500'001'000, 12 * kSecond) == 250'000'000u);
  // A reading soon after gives the same rate and does not shorten the window.
  CHECK(rate.Update(900'000'000, 12 * kSecond + 5) == 250'000'000u);
  CHECK(rate.Update(600'001'000, 13 * kSecond) == 100'000'000u);
}

TEST_CASE("a counter that was reset gives no rate") {
  UsageRate rate;
  (void)rate.Update(1000, 0);
  CHECK(rate.Update(2000, UsageRate::kMinWindowNs) == 1000u);
  CHECK_FALSE(rate.Update(10, 2 * UsageRate::kMinWindowNs).has_value());
  CHECK(rate.Update(60, 3 * UsageRate::kMinWindowNs) == 50u);
}
