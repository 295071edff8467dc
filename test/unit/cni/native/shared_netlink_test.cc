#include "cni/native/shared_netlink.h"

#include <linux/rtnetlink.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/wait.h"
#include "native_fixture.h"
#include "test/unit/cni/no_descriptors.h"

using namespace crisp;
using namespace crisp::cni::native;

TEST_CASE("a thread waits for the shared socket until its own deadline only") {
  SharedNetlink shared(NETLINK_ROUTE);
  base::Latch taken, other_is_done;
  std::thread holder([&] {
    const auto turn = shared.Take(Soon());
    taken.Set();
    other_is_done.Wait(base::Deadline::In(absl::Seconds(5)));
  });
  REQUIRE(taken.Wait(Soon()));
  const bool in_time =
      absl::IsDeadlineExceeded(shared.Take(base::Deadline::In(absl::Milliseconds(20))).status());
  other_is_done.Set();
  holder.join();
  CHECK(in_time);
  CHECK(shared.Take(Soon()).ok());
}

TEST_CASE("threads that wait for the shared socket get it one after the other") {
  SharedNetlink shared(NETLINK_ROUTE);
  std::vector<std::thread> threads;
  int inside = 0, most = 0, done = 0;  // of the thread that has the turn
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const auto turn = shared.Take(Soon());
        if (!turn.ok()) return;
        most = std::max(most, ++inside);
        std::this_thread::yield();
        --inside;
        ++done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(most == 1);
  CHECK(done == 20 * 50);
}

TEST_CASE("the shared socket is opened once, and again after it was closed or refused") {
  SharedNetlink shared(NETLINK_ROUTE);
  absl::Status refused;
  crisp::cni::WithoutDescriptors([&] { refused = shared.Take(Soon()).status(); });
  CHECK(absl::IsResourceExhausted(refused));
  CHECK(shared.Take(Soon())->opened());
  CHECK_FALSE(shared.Take(Soon())->opened());
  shared.Take(Soon())->Close();
  CHECK(shared.Take(Soon())->opened());
}

TEST_CASE("a shared socket whose answer was not waited for is opened again") {
  SharedNetlink shared(NETLINK_ROUTE);
  CHECK(shared.Take(Soon())->opened());
  {
    const auto turn = shared.Take(base::Deadline::In(absl::Milliseconds(20)));
    REQUIRE(turn.ok());
    // Nobody answers this.
    CHECK(absl::IsDeadlineExceeded((*turn)->Do(Message(NLMSG_NOOP, 0), "nothing")));
  }
  CHECK(shared.Take(Soon())->opened());
}
