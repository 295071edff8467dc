#include "runtime/joined.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "await_futex.h"

namespace crisp::runtime {
namespace {

using Text = absl::StatusOr<std::string>;

// One call that is at work until Finish().
class LongCall {
 public:
  LongCall(Joined<std::string>& operations, Text result)
      : thread_([this, &operations, result] {
          result_ = operations.Run("key", base::Call(), [&]() -> Text {
            begun_.Notify();
            finish_.WaitForNotification();
            return result;
          });
        }) {
    begun_.WaitForNotification();
  }
  Text Finish() {
    finish_.Notify();
    thread_.join();
    return result_;
  }

 private:
  absl::Notification begun_, finish_;
  Text result_ = absl::UnknownError("");
  std::thread thread_;
};

Text Never() {
  FAIL("an equal call was made twice");
  return "";
}

TEST_CASE("equal calls at the same time join: one does the work, all get its result") {
  for (const Text& result : {Text("id"), Text(absl::UnavailableError("no network"))}) {
    Joined<std::string> operations;
    LongCall first(operations, result);
    std::atomic<int> right = 0;
    std::vector<std::thread> others;
    for (int i = 0; i < 4; ++i) {
      std::atomic<pid_t> thread = 0;
      others.emplace_back([&] {
        thread = gettid();
        const Text seen = operations.Run("key", base::Call(),
                                         [] { return Text(absl::InternalError("made twice")); });
        if (seen == result) ++right;
      });
      AwaitFutex(thread);
    }
    // Calls with another key are not held up meanwhile.
    CHECK(*operations.Run("other", base::Call(), [] { return Text("x"); }) == "x");
    CHECK(first.Finish() == result);
    for (std::thread& other : others) other.join();
    CHECK(right == 4);
  }
}

TEST_CASE("a caller waits until its own deadline, the work goes on") {
  Joined<std::string> operations;
  LongCall first(operations, Text("id"));
  const absl::Time begin = absl::Now();
  const Text impatient =
      operations.Run("key", base::Call::Until(base::Deadline::In(absl::Milliseconds(30))), Never);
  CHECK(absl::IsDeadlineExceeded(impatient.status()));
  CHECK(absl::Now() - begin >= absl::Milliseconds(29));
  CHECK(absl::IsDeadlineExceeded(
      operations.Run("key", base::Call::Until(base::Deadline::At(0)), Never).status()));
  CHECK(*first.Finish() == "id");
}

TEST_CASE("a caller that leaves waits no longer, the work goes on") {
  Joined<std::string> operations;
  LongCall first(operations, Text("id"));
  const base::Call call;
  std::atomic<pid_t> thread = 0;
  Text left;
  std::thread waiter([&] {
    thread = gettid();
    left = operations.Run("key", call, Never);
  });
  AwaitFutex(thread);
  call.cancel->Cancel();
  waiter.join();
  CHECK(absl::IsCancelled(left.status()));
  CHECK(*first.Finish() == "id");
}

TEST_CASE("after the result is told the next call does its own work") {
  Joined<std::string> operations;
  CHECK_FALSE(
      operations.Run("key", base::Call(), [] { return Text(absl::UnknownError("")); }).ok());
  CHECK(*operations.Run("key", base::Call(), [] { return Text("now"); }) == "now");
}

}  // namespace
}  // namespace crisp::runtime
