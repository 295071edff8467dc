#include "snapshot/frame_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <utility>

#include "base/file.h"

namespace crisp::snapshot {
namespace {

// A message of the kind, with `count` descriptors of the same file.
void SendRaw(const FrameSocket& socket, FrameKind kind, size_t count) {
  const std::array<int, 3> fds = {socket.fd(), socket.fd(), socket.fd()};
  REQUIRE(count <= fds.size());
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fds))] = {};
  iovec part = {&kind, sizeof(kind)};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  std::memcpy(CMSG_DATA(header), fds.data(), count * sizeof(int));
  REQUIRE(sendmsg(socket.fd(), &message, 0) == 1);
}

size_t OpenFiles() { return base::ListDir("/proc/self/fd").value().size(); }

}  // namespace

TEST_CASE("a message leaves no descriptor open but the one that is expected") {
  auto [crispd, worker] = std::move(FrameSocket::Pair()).value();
  const size_t before = OpenFiles();
  for (const size_t count : {1u, 2u, 3u}) {
    INFO(count);
    SendRaw(worker, FrameKind::kFree, count);
    CHECK(crispd.Receive().ok());
    CHECK(OpenFiles() == before);
    SendRaw(worker, FrameKind::kOpaque, count);
    const absl::StatusOr<Frame> frame = crispd.Receive(/*with_fd=*/true);
    CHECK(frame.ok() == (count == 1));
    CHECK(OpenFiles() == before + (count == 1 ? 1 : 0));
  }
}

TEST_CASE("who never stops sending does not keep crispd from looking, nor past its deadline") {
  auto [crispd, worker] = std::move(FrameSocket::Pair()).value();
  int looks = 0;
  crispd.Watch(
      [&] { return ++looks < 3 ? absl::OkStatus() : absl::ResourceExhaustedError("full"); });
  const auto receive = [&, from = &crispd, to = &worker](base::Deadline deadline) {
    REQUIRE(to->Send(FrameKind::kFree).ok());
    return from->Receive(/*with_fd=*/false, deadline).status();
  };
  CHECK_FALSE(receive(base::Deadline::In(absl::ZeroDuration())).ok());
  absl::Status last;
  while (last.ok()) last = receive(base::Deadline::In(absl::Minutes(1)));
  CHECK(last.message() == "full");
  CHECK(looks == 3);
}

}  // namespace crisp::snapshot
