#include "cni/native/netlink.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "base/deadline.h"
#include "native_fixture.h"

using namespace crisp;
using namespace crisp::cni::native;

namespace {

// The test is the kernel: it answers before it is asked, because requests are numbered from 1 on.
struct Pair {
  base::UniqueFd kernel;
  base::UniqueFd ear;  // of the other end, to look what is there
  std::unique_ptr<Netlink> netlink;

  Pair() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == 0);
    kernel.reset(fds[0]);
    ear.reset(dup(fds[1]));
    netlink = std::make_unique<Netlink>(base::UniqueFd(fds[1]), Soon());
  }
  void Send(const std::string& text) const {
    REQUIRE(send(kernel.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }
};

template <typename T>
std::string Answer(uint32_t number, uint16_t type, const T& body, uint16_t flags = NLM_F_MULTI) {
  const nlmsghdr header = {.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(body))),
                           .nlmsg_type = type,
                           .nlmsg_flags = flags,
                           .nlmsg_seq = number,
                           .nlmsg_pid = 0};
  std::string text(reinterpret_cast<const char*>(&header), sizeof(header));
  text.append(reinterpret_cast<const char*>(&body), sizeof(body));
  text.resize(NLMSG_ALIGN(text.size()));
  return text;
}

constexpr uint16_t kChanged = NLM_F_MULTI | NLM_F_DUMP_INTR;

std::string Item(uint32_t number, int value, uint16_t flags = NLM_F_MULTI) {
  return Answer(number, RTM_NEWADDR, value, flags);
}
std::string Done(uint32_t number, int code = 0, uint16_t flags = NLM_F_MULTI) {
  return Answer(number, NLMSG_DONE, code, flags);
}

absl::StatusOr<std::vector<int>> List(const Pair& pair) {
  std::vector<int> values;
  const absl::Status status = pair.netlink->Do(
      Message(RTM_GETADDR, NLM_F_DUMP), "list",
      [&](nlmsghdr* answer) { values.push_back(*static_cast<const int*>(nlmsg_data(answer))); });
  if (!status.ok()) return status;
  return values;
}

}  // namespace

TEST_CASE("a dump that is larger than the room for one answer is read from several") {
  const Pair pair;
  std::vector<int> sent;
  for (int part = 0; part < 3; ++part) {
    std::string text;
    while (text.size() < (30 << 10)) {
      sent.push_back(static_cast<int>(sent.size()));
      text += Item(1, sent.back());
    }
    pair.Send(text);
  }
  pair.Send(Done(1));
  const auto listed = List(pair);
  REQUIRE(listed.ok());
  CHECK(*listed == sent);
}

TEST_CASE("an answer that is larger than the room for it is an error, and nothing of it is read") {
  const Pair pair;
  std::string text;
  while (text.size() <= (64 << 10)) text += Item(1, 1);
  pair.Send(text);
  pair.Send(Done(1));
  const auto listed = List(pair);
  CHECK(absl::StrContains(listed.status().message(), "(EMSGSIZE)"));
  CHECK_FALSE(pair.netlink->usable());
}

TEST_CASE("a dump that has changed while it was read is read again") {
  const Pair pair;
  pair.Send(Item(1, 10));
  pair.Send(Item(1, 11, kChanged) + Done(1, 0, kChanged));
  pair.Send(Item(2, 20) + Item(2, 21));
  pair.Send(Done(2, 0, kChanged));  // after the last item
  pair.Send(Item(3, 30));
  pair.Send(Item(3, 31) + Done(3));
  pair.Send(Item(4, 40) + Done(4));
  const auto first = List(pair);
  REQUIRE(first.ok());
  CHECK(*first == std::vector<int>{30, 31});
  const auto second = List(pair);
  REQUIRE(second.ok());
  CHECK(*second == std::vector<int>{40});
}

TEST_CASE("a dump that changes each time is an error, of which nothing is read") {
  const Pair pair;
  constexpr uint32_t kMore = 20;
  for (uint32_t i = 1; i <= kMore; ++i) {
    pair.Send(Item(i, 1) + Done(i, 0, kChanged));
  }
  const auto listed = List(pair);
  CHECK(absl::IsUnavailable(listed.status()));
  CHECK(listed.status().message() == "list: it changes each time it is read");
}

TEST_CASE("an error that ends a dump is one") {
  const Pair pair;
  pair.Send(Item(1, 1) + Done(1, -ENOENT));
  CHECK(absl::IsNotFound(List(pair).status()));
}

TEST_CASE("a batch may be larger than what a socket has room for") {
  if (geteuid() != 0) {
    printf("skipped: large batches: only root may have more room\n");
    return;
  }
  const Pair pair;
  constexpr uint32_t kRequests = 400;
  std::vector<Message> batch;
  for (uint32_t i = 1; i <= kRequests; ++i) {
    batch.emplace_back(RTM_NEWADDR, i == kRequests ? NLM_F_ACK : 0);
    batch.back().Put(1, std::string(3000, 'x'));
  }
  pair.Send(Answer(kRequests, NLMSG_ERROR, 0, 0));
  CHECK(pair.netlink->DoAll(std::move(batch), "batch") == absl::OkStatus());
}

TEST_CASE("a socket of which an answer was not read to its end is not to be used again") {
  const Pair pair;
  pair.Send(Item(1, 10) + Done(1));
  REQUIRE(List(pair).ok());
  pair.Send(Item(2, -1, 0) + Done(2, -EBUSY));
  CHECK_FALSE(List(pair).ok());
  CHECK(pair.netlink->usable());  // an error is an answer
  pair.Send(Item(3, 30));
  pair.netlink->SetDeadline(base::Deadline::In(absl::Milliseconds(20)));
  CHECK(absl::IsDeadlineExceeded(List(pair).status()));
  CHECK_FALSE(pair.netlink->usable());
}

TEST_CASE("of the news of links only those of one wake up who waits for it") {
  const Pair pair;
  REQUIRE(pair.netlink->HearOnlyOf(0x01020304).ok());
  ifinfomsg link = {};
  for (const int index : {1, 0x04030201, 0x01020304, 0x01020305}) {
    link.ifi_index = index;
    pair.Send(Answer(0, RTM_NEWLINK, link));
  }
  char text[256];
  constexpr auto kSize = static_cast<ssize_t>(NLMSG_LENGTH(sizeof(link)));
  CHECK(recv(pair.ear.get(), text, sizeof(text), MSG_DONTWAIT) == kSize);
  memcpy(&link, text + NLMSG_HDRLEN, sizeof(link));
  CHECK(link.ifi_index == 0x01020304);
  CHECK(recv(pair.ear.get(), text, sizeof(text), MSG_DONTWAIT) < 0);
}
