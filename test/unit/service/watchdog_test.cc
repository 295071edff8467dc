#include "service/watchdog.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "base/clock.h"
#include "base/log.h"
#include "eventually.h"

using namespace crisp;
using service::Watchdog;
using test::Eventually;

TEST_CASE("systemd is told while the check says so, not while it fails, and again afterwards") {
  // The failures are logged.
  base::SetLogSink([](base::LogLevel, const std::string&, std::initializer_list<base::LogField>) {
    return true;
  });
  std::atomic<bool> works = true;
  std::atomic<int> checks = 0, told = 0;
  const auto watchdog = Watchdog::Start(
      absl::Milliseconds(100),
      [&](base::Deadline) {
        ++checks;
        return works ? absl::OkStatus() : absl::UnavailableError("hangs");
      },
      [&] { ++told; });
  REQUIRE(watchdog.ok());
  REQUIRE(Eventually([&] { return told >= 3; }));
  works = false;
  // A check that had begun before may still be told.
  const int begun = checks;
  REQUIRE(Eventually([&] { return checks >= begun + 2; }));
  const int before = told;
  REQUIRE(Eventually([&] { return checks >= begun + 6; }));
  CHECK(told == before);
  works = true;
  CHECK(Eventually([&] { return told > before; }));
  base::SetLogSink(nullptr);
}

TEST_CASE(
    "a check has less than half of the time, so that one that just succeeds is told in time") {
  std::atomic<int64_t> left_ms = -1;
  const auto watchdog = Watchdog::Start(
      absl::Hours(1),
      [&](base::Deadline deadline) {
        left_ms = absl::ToInt64Milliseconds(deadline.Left());
        return absl::OkStatus();
      },
      [] {});
  REQUIRE(watchdog.ok());
  REQUIRE(Eventually([&] { return left_ms >= 0; }));
  CHECK(left_ms > 10 * 60'000);
  CHECK(left_ms < 30 * 60'000);
}

TEST_CASE("a watchdog ends at once, however long its time is") {
  std::atomic<int> told = 0;
  auto watchdog = Watchdog::Start(
      absl::Hours(1), [](base::Deadline) { return absl::OkStatus(); }, [&] { ++told; });
  REQUIRE(watchdog.ok());
  REQUIRE(Eventually([&] { return told == 1; }));
  const int64_t begin = base::MonotonicNanos();
  watchdog->reset();
  CHECK(base::MonotonicNanos() - begin < int64_t{60} * 1'000'000'000);
}
