#include "base/wait.h"

#include <poll.h>

#include <catch2/catch.hpp>
#include <thread>

namespace crisp::base {
namespace {

TEST_CASE("a deadline passes on the monotonic clock; Never does not") {
  CHECK(Deadline::In(absl::ZeroDuration()).Passed());
  CHECK(Deadline::In(-absl::InfiniteDuration()).Passed());
  CHECK_FALSE(Deadline::In(absl::Hours(1)).Passed());
  CHECK(Deadline::In(absl::InfiniteDuration()).is_never());
  CHECK(Deadline::In(absl::Hours(24 * 366 * 100)).is_never() == false);
  CHECK_FALSE(Deadline::Never().Passed());
  CHECK(Deadline::Never().PollMillis() == -1);
  CHECK(Deadline::In(absl::Microseconds(1)).PollMillis() <= 1);
  CHECK(Deadline::In(absl::Hours(24 * 365)).PollMillis() == INT32_MAX);
  CHECK(Deadline::In(absl::Seconds(1)) < Deadline::Never());
}

TEST_CASE("a latch wakes those who wait and stays set") {
  Latch latch;
  CHECK_FALSE(latch.Wait(Deadline::At(0)));
  std::thread setter([&] { latch.Set(); });
  CHECK(latch.Wait(Deadline::In(absl::Seconds(20))));
  setter.join();
  CHECK(latch.Wait(Deadline::At(0)));
  CHECK(latch.Wait(Call::Until(Deadline::At(0))).ok());
}

TEST_CASE("a wait for a call ends with its deadline or when its caller leaves") {
  Latch latch;
  CHECK(absl::IsDeadlineExceeded(latch.Wait(Call::Until(Deadline::In(absl::Milliseconds(5))))));
  const Call call;
  std::thread leaver([&] { call.cancel->Cancel(); });
  CHECK(absl::IsCancelled(latch.Wait(call)));
  leaver.join();
  CHECK(absl::IsCancelled(latch.Wait(call.Before(Deadline::In(absl::Hours(1))))));
}

TEST_CASE(
    "the descriptor of a cancel token is readable once it is cancelled, whenever it was made") {
  const auto readable = [](int fd) {
    pollfd poll_fd = {fd, POLLIN, 0};
    return poll(&poll_fd, 1, 0) == 1;
  };
  CancelToken early, late;
  const int fd = early.fd();
  CHECK_FALSE(readable(fd));
  early.Cancel();
  CHECK(readable(fd));
  CHECK(early.fd() == fd);
  late.Cancel();
  CHECK(readable(late.fd()));
}

}  // namespace
}  // namespace crisp::base
