#include "rpc/call_watch.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "base/wait.h"
#include "no_threads.h"

namespace crisp::rpc {
namespace {

TEST_CASE("a handler that waits is told that its client left") {
  CallWatch watch;
  REQUIRE(watch.Start().ok());
  const base::Call call = base::Call::Until(base::Deadline::In(absl::Seconds(20)));
  std::atomic<bool> left = false;
  const CallWatch::InFlight in_flight(watch, call, [&] { return left.load(); });
  CHECK(call.Check().ok());
  left = true;
  const base::Latch never;
  CHECK(absl::IsCancelled(never.Wait(call)));
}

TEST_CASE("a call that is over is not asked for again") {
  CallWatch watch;
  REQUIRE(watch.Start().ok());
  std::atomic<int> asked = 0;
  const base::Call first, second;
  {
    const CallWatch::InFlight over(watch, first, [&] { return ++asked > 0; });
  }
  const int before = asked;
  const CallWatch::InFlight in_flight(watch, second, [] { return true; });
  const base::Latch never;
  CHECK(absl::IsCancelled(never.Wait(second)));  // the watch has been around once
  CHECK(asked == before);
}

TEST_CASE("a watch that gets no thread is an error") {
  const test::NoThreads refused;
  CHECK(absl::IsResourceExhausted(CallWatch().Start()));
}

}  // namespace
}  // namespace crisp::rpc
