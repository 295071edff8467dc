// ThreadSanitizer reports the races there are, and no others. Without that the tier `races` says
// nothing; see src/base/tsan_mutex.cc and proto/tsan_map.h. Built in the preset tsan only.
#include <google/protobuf/struct.pb.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/wait.h"

namespace {

// TSan calls the function below while it holds locks of its own: it must not look at it.
#define NOT_SANITIZED __attribute__((no_sanitize_thread))

volatile int reports = 0;

NOT_SANITIZED int ReportsSoFar() { return reports; }

// The number of races between two threads.
int RacesOf(const std::function<void()>& one, const std::function<void()>& other) {
  const int before = ReportsSoFar();
  std::thread first(one);
  std::thread second(other);
  first.join();
  second.join();
  return ReportsSoFar() - before;
}

}  // namespace

// The reports that are expected do not fail the program. Each race is reported, also one where
// there was one before.
extern "C" const char* __tsan_default_options() {
  return "exitcode=0:ignore_noninstrumented_modules=1:"
         "suppress_equal_stacks=0:suppress_equal_addresses=0";
}
extern "C" NOT_SANITIZED void __tsan_on_report(void* /*report*/) { reports = reports + 1; }

TEST_CASE("TSan reports what nothing guards") {
  int shared = 0;
  const auto add = [&] { ++shared; };
  CHECK(RacesOf(add, add) > 0);
}

TEST_CASE("TSan reports what each thread guards with a mutex of its own") {
  int shared = 0;
  absl::Mutex mine;
  absl::Mutex yours;
  const auto one = [&] {
    absl::MutexLock lock(&mine);
    ++shared;
  };
  const auto other = [&] {
    absl::MutexLock lock(&yours);
    ++shared;
  };
  CHECK(RacesOf(one, other) > 0);
}

TEST_CASE("TSan reports what a reader of the mutex writes") {
  int shared = 0;
  absl::Mutex mu;
  const auto add = [&] {
    absl::ReaderMutexLock lock(&mu);
    ++shared;
  };
  CHECK(RacesOf(add, add) > 0);
}

TEST_CASE("what an absl::Mutex guards is not a race") {
  int shared = 0;
  absl::Mutex mu;
  const auto add = [&] {
    for (int i = 0; i < 1000; ++i) {
      absl::MutexLock lock(&mu);
      ++shared;
    }
  };
  const auto others = [&] {
    for (int i = 0; i < 1000; ++i) {
      if (mu.TryLock()) {
        ++shared;
        mu.Unlock();
      }
      if (mu.ReaderTryLock()) {
        (void)(shared == i);
        mu.ReaderUnlock();
      }
      absl::ReaderMutexLock lock(&mu);
      (void)(shared == i);
    }
  };
  CHECK(RacesOf(add, add) == 0);
  CHECK(RacesOf(add, others) == 0);
}

TEST_CASE("what one thread gives another that waits is not a race") {
  absl::Mutex mu;
  crisp::base::CondVar changed;
  absl::CondVar abseils;
  bool ready = false;
  int given = 0;  // not guarded: written before `ready` is set, read after it was seen
  const auto give = [&] {
    given = 1;
    absl::MutexLock lock(&mu);
    ready = true;
    changed.NotifyAll();
    abseils.SignalAll();
  };
  SECTION("with base::CondVar") {
    const auto take = [&] {
      absl::MutexLock lock(&mu);
      while (!ready) changed.Wait(mu, crisp::base::Deadline::Never());
      ++given;
    };
    CHECK(RacesOf(take, give) == 0);
  }
  SECTION("with absl::CondVar") {
    const auto take = [&] {
      absl::MutexLock lock(&mu);
      while (!ready) abseils.Wait(&mu);
      ++given;
    };
    CHECK(RacesOf(take, give) == 0);
  }
  SECTION("with LockWhen") {
    const auto take = [&] {
      absl::MutexLock lock(&mu, absl::Condition(&ready));
      ++given;
    };
    CHECK(RacesOf(take, give) == 0);
  }
  SECTION("with LockWhenWithTimeout") {
    const auto take = [&] {
      if (mu.LockWhenWithTimeout(absl::Condition(&ready), absl::Minutes(1))) ++given;
      mu.Unlock();
    };
    CHECK(RacesOf(take, give) == 0);
    CHECK(given == 2);
  }
  SECTION("with Await") {
    const auto take = [&] {
      absl::MutexLock lock(&mu);
      mu.Await(absl::Condition(&ready));
      ++given;
    };
    CHECK(RacesOf(take, give) == 0);
  }
}

TEST_CASE("a mutex that is made where another was is not a race") {
  for (int i = 0; i < 100; ++i) {
    int shared = 0;
    const auto mu = std::make_unique<absl::Mutex>();
    const auto add = [&] {
      absl::MutexLock lock(mu.get());
      ++shared;
    };
    REQUIRE(RacesOf(add, add) == 0);
  }
}

TEST_CASE("a message with a map is as large as libprotobuf takes it for") {
  const google::protobuf::Struct message;  // its code is in libprotobuf
  CHECK(message.SpaceUsedLong() == sizeof(message));
}
