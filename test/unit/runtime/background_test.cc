#include "runtime/background.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
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

TEST_CASE("a job runs on a thread of the queue, once") {
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

TEST_CASE("a disk that hangs holds up only its own lane, whose due jobs are run at the stop") {
  Background background({.kernel = 1, .plugins = 1, .disk = 1});
  REQUIRE(background.Start().ok());
  absl::Notification hangs, answers, kernel, plugins;
  background.Add(
      "write",
      [&] {
        hangs.Notify();
        answers.WaitForNotification();
        return true;
      },
      absl::ZeroDuration(), Lane::kDisk);
  REQUIRE(Await(hangs));
  std::atomic<int> written = 0;
  background.Add(
      "next", [&] { return ++written > 0; }, absl::ZeroDuration(), Lane::kDisk);
  background.Add(
      "later", [&] { return ++written > 0; }, absl::Hours(1), Lane::kDisk);
  const auto notify = [](absl::Notification& happened) {
    return [&happened] {
      happened.Notify();
      return true;
    };
  };
  background.Add("kernel", notify(kernel));
  background.Add("plugin", notify(plugins), absl::ZeroDuration(), Lane::kPlugins);
  CHECK(Await(kernel));
  CHECK(Await(plugins));
  CHECK(written == 0);
  std::thread stop([&] { background.Stop(); });
  answers.Notify();
  stop.join();
  CHECK(written == 1);
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

// A job that runs until the test lets it end.
struct Hung {
  ~Hung() { End(); }
  Background::Job job() {
    return [this] {
      running.Notify();
      end.WaitForNotification();
      return true;
    };
  }
  void End() {
    if (!end.HasBeenNotified()) end.Notify();
  }
  absl::Notification running, end;
};

TEST_CASE("the job that has been due for longest runs first, whatever the keys") {
  Background background({.kernel = 1, .plugins = 1});
  Hung hung;
  std::vector<std::string> order;
  absl::Notification done;
  REQUIRE(background.Start().ok());
  background.Add("0", hung.job());
  REQUIRE(Await(hung.running));
  for (const char* key : {"z", "a", "m"}) {
    background.Add(key, [&, key] {
      order.push_back(key);
      if (order.size() == 3) done.Notify();
      return true;
    });
  }
  hung.End();
  REQUIRE(Await(done));
  background.Stop();
  CHECK(order == std::vector<std::string>{"z", "a", "m"});
}

TEST_CASE("jobs that always fail do not keep another from its turn") {
  Background background({.kernel = 1, .plugins = 1});
  std::atomic<int> runs = 0;
  absl::Notification turn;
  int runs_before = 0;
  REQUIRE(background.Start().ok());
  // Each takes longer than the others' pause: the first is due again before the last had its turn.
  for (const char* key : {"a1", "a2", "a3", "a4", "a5"}) {
    background.Add(
        key,
        [&] {
          ++runs;
          absl::SleepFor(absl::Milliseconds(600));
          return false;
        },
        absl::ZeroDuration(), Lane::kPlugins);
  }
  background.Add(
      "z",
      [&] {
        runs_before = runs;
        turn.Notify();
        return true;
      },
      absl::ZeroDuration(), Lane::kPlugins);
  REQUIRE(Await(turn));
  background.Stop();
  CHECK(runs_before == 5);
}

TEST_CASE("a job that hangs holds up no other of its lane") {
  Background background;
  Hung hung;
  absl::Notification other;
  REQUIRE(background.Start().ok());
  background.Add("hung", hung.job());
  REQUIRE(Await(hung.running));
  background.Add("other", [&] {
    other.Notify();
    return true;
  });
  CHECK(Await(other));
  hung.End();
  background.Stop();
}

TEST_CASE("plugins that hang hold up only plugins, and no more than their lane's bound run") {
  Background background({.kernel = 1, .plugins = 3});
  Hung hung[4];
  absl::Notification kernel;
  REQUIRE(background.Start().ok());
  for (int i = 0; i < 4; ++i)
    background.Add("teardown " + std::to_string(i), hung[i].job(), absl::ZeroDuration(),
                   Lane::kPlugins);
  for (int i = 0; i < 3; ++i) REQUIRE(Await(hung[i].running));
  background.Add("cgroup", [&] {
    kernel.Notify();
    return true;
  });
  REQUIRE(Await(kernel));
  CHECK_FALSE(hung[3].running.HasBeenNotified());
  hung[1].End();
  REQUIRE(Await(hung[3].running));
  for (Hung& each : hung) each.End();
  background.Stop();
}

TEST_CASE("jobs of one key never run at the same time, also in different lanes") {
  Background background({.kernel = 1, .plugins = 1});
  Hung first;
  absl::Notification second, other;
  REQUIRE(background.Start().ok());
  background.Add("key", first.job());
  REQUIRE(Await(first.running));
  background.Add(
      "key",
      [&] {
        second.Notify();
        return true;
      },
      absl::ZeroDuration(), Lane::kPlugins);
  background.Add(
      "other",
      [&] {
        other.Notify();
        return true;
      },
      absl::ZeroDuration(), Lane::kPlugins);
  REQUIRE(Await(other));  // its only worker has come past the job that was due first
  CHECK_FALSE(second.HasBeenNotified());
  first.End();
  CHECK(Await(second));
  background.Stop();
}

TEST_CASE("stop waits for the job that runs and drops the others") {
  Background background({.kernel = 1, .plugins = 1});
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
  AwaitFutex(stopping);  // joins the threads of the queue
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
