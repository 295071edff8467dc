#include "base/thread.h"

#include <pthread.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <utility>

#include "base/wait.h"
#include "no_threads.h"

namespace crisp::base {
namespace {

TEST_CASE("a thread runs under its name, cut to what the kernel takes") {
  char name[32] = {};
  absl::StatusOr<Thread> thread = StartThread(
      "a name that is too long", [&] { pthread_getname_np(pthread_self(), name, sizeof(name)); });
  REQUIRE(thread.ok());
  thread->Join();
  CHECK_FALSE(thread->joinable());
  CHECK(std::string(name) == "a name that is ");
}

TEST_CASE("a thread is waited for at the end of its handle, and before the handle takes another") {
  std::atomic<int> ended = 0;
  Latch go_on;
  const auto run = [&] {
    go_on.Wait(Deadline::Never());
    ++ended;
  };
  {
    Thread thread = *StartThread("first", run);
    Thread other = *StartThread("second", run);
    go_on.Set();
    thread = std::move(other);
    CHECK(ended >= 1);
  }
  CHECK(ended == 2);
}

TEST_CASE("a thread that the kernel refuses is an error, not the end of the program") {
  const test::NoThreads refused;
  const absl::StatusOr<Thread> thread = StartThread("unpack", [] {});
  CHECK(absl::IsResourceExhausted(thread.status()));
  CHECK(thread.status().message() ==
        "cannot start a thread for unpack: resource temporarily unavailable (EAGAIN)");
}

}  // namespace
}  // namespace crisp::base
