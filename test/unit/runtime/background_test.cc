#include "runtime/background.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "await_futex.h"
#include "no_threads.h"

namespace crisp::runtime {
namespace {

bool Await(absl::Notification& happened) {
  return happened.WaitForNotificationWithTimeout(absl::Seconds(10));
}

TEST_CASE("a job runs on the thread of the queue, once") {
  Background background;
  std::atomic<int> runs = 0;
  absl::Notification later;
  background.Add("early", [&] { return ++runs > 0; });  // before Start: kept
  REQUIRE(background.Start().ok());
  background.Add("later", [&] {
    later.Notify();
    return true;
  });
  REQUIRE(Await(later));
  background.Stop();
  CHECK(runs == 1);
}

TEST_CASE("a job that is not done is run again after a second, and holds up nobody") {
  Background background;
  REQUIRE(background.Start().ok());
  absl::Notification done, other;
  std::vector<absl::Time> runs;
  background.Add("debt", [&] {
    runs.push_back(absl::Now());
    if (runs.size() < 2) return false;
    done.Notify();
    return true;
  });
  background.Add("other", [&] {
    other.Notify();
    return true;
  });
  CHECK(other.WaitForNotificationWithTimeout(absl::Milliseconds(900)));
  REQUIRE(Await(done));
  background.Stop();
  REQUIRE(runs.size() == 2);
  CHECK(runs[1] - runs[0] >= absl::Seconds(1));
}

TEST_CASE("a job replaces the queued one with its key, also while that one runs") {
  Background background;
  REQUIRE(background.Start().ok());
  std::atomic<bool> old_ran = false;
  absl::Notification replaced;
  background.Add(
      "key", [&] { return old_ran = true; }, absl::Seconds(60));
  background.Add("key", [&] {
    replaced.Notify();
    return true;
  });
  REQUIRE(Await(replaced));
  CHECK_FALSE(old_ran);

  absl::Notification running, go_on, second;
  std::atomic<int> first_runs = 0;
  background.Add("again", [&] {
    ++first_runs;
    running.Notify();
    go_on.WaitForNotification();
    return false;  // wants to be retried, but what came meanwhile knows better
  });
  REQUIRE(Await(running));
  background.Add("again", [&] {
    second.Notify();
    return true;
  });
  go_on.Notify();
  REQUIRE(Await(second));
  background.Stop();
  CHECK(first_runs == 1);
}

TEST_CASE("stop waits for the job that runs and drops the others") {
  Background background;
  REQUIRE(background.Start().ok());
  absl::Notification running, go_on;
  std::atomic<bool> ended = false, dropped_ran = false;
  background.Add("long", [&] {
    running.Notify();
    go_on.WaitForNotification();
    return ended = true;
  });
  REQUIRE(Await(running));
  background.Add("dropped", [&] { return dropped_ran = true; });
  std::atomic<pid_t> stopping = 0;
  std::thread stopper([&] {
    stopping = gettid();
    background.Stop();
  });
  AwaitFutex(stopping);  // joins the thread of the queue
  CHECK_FALSE(ended);
  go_on.Notify();
  stopper.join();
  CHECK(ended);
  CHECK_FALSE(dropped_ran);
  background.Stop();
}

TEST_CASE("a queue that gets no thread is an error") {
  const test::NoThreads refused;
  Background background;
  CHECK(absl::IsResourceExhausted(background.Start()));
}

}  // namespace
}  // namespace crisp::runtime
