// Both ends of a connection between crispd and a shim. A peer that breaks the protocol writes raw
// packets.
#include "ipc/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "shim/v1/shim.pb.h"

namespace crisp::ipc {
namespace {

using ::shim::v1::Request;

struct Pair {
  Pair() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
    ours = Channel(base::UniqueFd(fds[0]));
    theirs = Channel(base::UniqueFd(fds[1]));
  }
  Channel ours;
  Channel theirs;
};

struct TempDir {
  TempDir() {
    char name[] = "/tmp/crisp-ipc-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~TempDir() { (void)base::RemoveTree(path); }
  std::string path;
};

Request ExecOf(const std::string& argument) {
  Request request;
  request.mutable_exec()->add_args(argument);
  return request;
}

size_t OpenFds() { return base::ListDir("/proc/self/fd")->size(); }

base::Deadline In(int milliseconds) { return base::Deadline::In(absl::Milliseconds(milliseconds)); }

// Sends the bytes and `count` copies of descriptor 0.
void SendRaw(const Channel& channel, const std::string& bytes, int count) {
  iovec io = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
  msghdr header = {};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  if (count > 0) {
    const std::vector<int> fds(static_cast<size_t>(count), 0);
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    memcpy(CMSG_DATA(part), fds.data(), sizeof(int) * fds.size());
  }
  REQUIRE(sendmsg(channel.fd(), &header, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

TEST_CASE("a message arrives complete, with its descriptors, which are close-on-exec") {
  Pair pair;
  int pipe_fds[2];
  REQUIRE(pipe2(pipe_fds, O_CLOEXEC) == 0);
  const base::UniqueFd read_end(pipe_fds[0]);
  base::UniqueFd write_end(pipe_fds[1]);
  REQUIRE(pair.ours.Send(ExecOf("first"), {write_end.get(), 0}).ok());
  REQUIRE(pair.ours.Send(ExecOf(std::string(180'000, 'x'))).ok());
  write_end.reset();

  std::vector<base::UniqueFd> fds;
  const auto first = pair.theirs.ReceiveMessage<Request>(&fds, In(1000));
  REQUIRE(first.ok());
  CHECK(first->exec().args(0) == "first");
  REQUIRE(fds.size() == 2);
  for (const base::UniqueFd& fd : fds) CHECK((fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(write(fds[0].get(), "y", 1) == 1);
  char byte = 0;
  CHECK(read(read_end.get(), &byte, 1) == 1);
  CHECK(byte == 'y');

  const auto second = pair.theirs.ReceiveMessage<Request>(nullptr, In(1000));
  REQUIRE(second.ok());
  CHECK(second->exec().args(0).size() == 180'000);
}

TEST_CASE("end of file and a deadline that passes are different errors") {
  Pair pair;
  const int64_t begin = base::MonotonicNanos();
  CHECK(absl::IsDeadlineExceeded(pair.ours.Receive(In(30)).status()));
  CHECK(base::MonotonicNanos() - begin >= 29'000'000);
  CHECK(absl::IsDeadlineExceeded(pair.ours.Receive(base::Deadline::At(0)).status()));  // long past
  REQUIRE(pair.theirs.Send(ExecOf("last words")).ok());
  pair.theirs.Close();
  CHECK(pair.ours.Receive(In(1000)).ok());  // sent before the end
  CHECK(absl::IsUnavailable(pair.ours.Receive().status()));
  CHECK(absl::IsUnavailable(pair.ours.Send(ExecOf("x"))));
}

TEST_CASE("what a peer has sent is received although it closed without reading everything") {
  Pair pair;
  Request request;
  request.mutable_reopen_log();
  REQUIRE(pair.ours.Send(request).ok());
  REQUIRE(pair.theirs.Send(request).ok());
  pair.theirs.Close();
  const auto received = pair.ours.ReceiveMessage<Request>(nullptr, base::Deadline::At(0));
  REQUIRE(received.ok());
  CHECK(received->has_reopen_log());
  CHECK(absl::IsUnavailable(pair.ours.Receive(base::Deadline::At(0)).status()));
}

TEST_CASE("a waiting receiver wakes when the peer closes the connection") {
  Pair pair;
  std::thread peer([&] { pair.theirs.Close(); });
  CHECK(absl::IsUnavailable(pair.ours.Receive().status()));
  peer.join();
}

TEST_CASE("too large a packet is refused on both sides and its descriptors are closed") {
  Pair pair;
  const size_t before = OpenFds();
  CHECK(absl::IsInvalidArgument(pair.ours.Send(ExecOf(std::string(kMaxPacketBytes, 'x')))));
  CHECK(absl::IsInvalidArgument(pair.ours.Send(ExecOf("x"), {0, 0, 0, 0, 0})));
  SendRaw(pair.ours, std::string(kMaxPacketBytes + 1, 'x'), 2);
  CHECK(absl::IsInvalidArgument(pair.theirs.Receive(In(1000)).status()));
  SendRaw(pair.ours, "x", kMaxPacketFds + 1);
  CHECK(absl::IsInvalidArgument(pair.theirs.Receive(In(1000)).status()));
  CHECK(OpenFds() == before);
  // The connection can still be used.
  REQUIRE(pair.ours.Send(ExecOf("fine")).ok());
  CHECK(pair.theirs.ReceiveMessage<Request>(nullptr, In(1000)).ok());
}

TEST_CASE("bytes that do not parse are an error and their descriptors are closed") {
  Pair pair;
  const size_t before = OpenFds();
  SendRaw(pair.ours, "\xff\xff\xff\xff", 3);
  std::vector<base::UniqueFd> fds;
  CHECK(absl::IsInvalidArgument(pair.theirs.ReceiveMessage<Request>(&fds, In(1000)).status()));
  CHECK(fds.empty());
  CHECK(OpenFds() == before);
}

TEST_CASE("a non-blocking sender does not wait for a peer that does not read") {
  Pair pair;
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i)
    status = pair.ours.SendAtOnce(ExecOf(std::string(9999, 'x')));
  CHECK(absl::IsUnavailable(status));
  REQUIRE(fcntl(pair.ours.fd(), F_SETFL, O_NONBLOCK) == 0);
  CHECK(absl::IsUnavailable(pair.ours.Send(ExecOf(std::string(9999, 'x')))));
}

TEST_CASE("a socket has mode 0600, replaces a stale one and may have a long path") {
  const TempDir dir;
  std::string directory = dir.path;
  SECTION("short") {}
  SECTION("longer than sun_path") {
    directory = absl::StrCat(dir.path, "/", std::string(200, 'd'));
    REQUIRE(base::MakeDirs(directory, 0700).ok());
  }
  const std::string path = directory + "/shim.sock";
  CHECK(absl::IsNotFound(Connect(path).status()));
  for (int round = 0; round < 2; ++round) {  // the second round finds the socket file of the first
    const absl::StatusOr<base::UniqueFd> listener = Listen(path);
    REQUIRE(listener.ok());
    struct stat info;
    REQUIRE(stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    // A client can connect and send before the server accepts.
    const absl::StatusOr<Channel> client = Connect(path);
    REQUIRE(client.ok());
    REQUIRE(client->Send(ExecOf("early")).ok());
    const Channel server(base::UniqueFd(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC)));
    REQUIRE(server.valid());
    const auto request = server.ReceiveMessage<Request>(nullptr, In(1000));
    REQUIRE(request.ok());
    CHECK(request->exec().args(0) == "early");
  }
  CHECK(absl::IsUnavailable(Connect(path).status()));  // the file is there, but no process listens
  CHECK_FALSE(Listen(absl::StrCat(directory, "/", std::string(120, 'n'))).ok());
}

}  // namespace
}  // namespace crisp::ipc
