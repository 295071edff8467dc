#include "ipc/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::ipc {
namespace {

// The address of `path`. A path that is too long for an address is reached through /proc/self/fd
// and its directory, which `dir` keeps open.
absl::StatusOr<sockaddr_un> Address(const std::string& path, base::UniqueFd& dir) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::string name = path;
  if (name.size() >= sizeof(address.sun_path)) {
    const size_t slash = path.rfind('/');
    CRISP_ASSIGN_OR_RETURN(dir, base::Open(path.substr(0, slash + 1), O_PATH | O_DIRECTORY));
    name = absl::StrCat("/proc/self/fd/", dir.get(), path.substr(slash));
  }
  if (name.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket path \"", path, "\": the file name is too long"));
  }
  memcpy(address.sun_path, name.c_str(), name.size() + 1);
  return address;
}

absl::Status WaitReadable(int fd, base::Deadline deadline) {
  while (true) {
    pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
    const int n = poll(&entry, 1, deadline.PollMillis());
    if (n > 0) return absl::OkStatus();
    if (n == 0) return absl::DeadlineExceededError("receive: no answer in time");
    if (errno != EINTR) return base::Errno("poll", "");
  }
}

void TakeFds(msghdr& header, std::vector<base::UniqueFd>& fds) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
}

}  // namespace

absl::Status Channel::Send(const google::protobuf::MessageLite& message,
                           const std::vector<int>& fds) const {
  return SendPacket(message, fds, 0);
}

absl::Status Channel::SendAtOnce(const google::protobuf::MessageLite& message) const {
  return SendPacket(message, {}, MSG_DONTWAIT);
}

absl::Status Channel::SendPacket(const google::protobuf::MessageLite& message,
                                 const std::vector<int>& fds, int flags) const {
  const std::string data = message.SerializeAsString();
  if (data.size() > kMaxPacketBytes || fds.size() > kMaxPacketFds) {
    return absl::InvalidArgumentError(
        absl::StrCat("send: message of ", data.size(), " bytes is too large"));
  }
  // Never empty, which the peer would take for end of file: every message has a member set.
  iovec io = {.iov_base = const_cast<char*>(data.data()), .iov_len = data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPacketFds)] = {};
  msghdr header = {};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    memcpy(CMSG_DATA(part), fds.data(), sizeof(int) * fds.size());
  }
  while (sendmsg(fd_.get(), &header, MSG_NOSIGNAL | flags) < 0) {
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET)
      return absl::UnavailableError("send: connection closed");
    return base::Errno("send", "");
  }
  return absl::OkStatus();
}

absl::StatusOr<Packet> Channel::Receive(base::Deadline deadline) const {
  Packet packet;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPacketFds)];
  while (true) {
    // Looks at the size first: a buffer for the largest possible packet would grow the shim's heap.
    const ssize_t size = recv(fd_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    // The reset is told once, before what the peer has sent: it closed without reading everything.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (size < 0 && errno == EAGAIN) {
      CRISP_RETURN_IF_ERROR(WaitReadable(fd_.get(), deadline));
      continue;
    }
    packet.data.resize(size > 0 ? std::min<size_t>(static_cast<size_t>(size), kMaxPacketBytes) : 1);
    iovec io = {.iov_base = packet.data.data(), .iov_len = packet.data.size()};
    msghdr header = {};
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t n = recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ECONNRESET)) continue;
    if (n < 0) return base::Errno("receive", "");
    if (n == 0) return absl::UnavailableError("receive: connection closed");
    TakeFds(header, packet.fds);
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
      return absl::InvalidArgumentError("receive: packet too large");
    packet.data.resize(static_cast<size_t>(n));
    return packet;
  }
}

absl::StatusOr<base::UniqueFd> Listen(const std::string& path) {
  base::UniqueFd dir;
  CRISP_ASSIGN_OR_RETURN(const sockaddr_un address, Address(path, dir));
  base::UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::Errno("socket", path);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return base::Errno("unlink", path);
  // Before bind, so that others cannot connect at any moment: the socket file gets the
  // mode that the socket has then (unix(7)).
  if (fchmod(fd.get(), 0600) != 0) return base::Errno("fchmod", path);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return base::Errno("bind", path);
  if (listen(fd.get(), 1024) != 0) return base::Errno("listen", path);
  return fd;
}

absl::StatusOr<Channel> Connect(const std::string& path) {
  base::UniqueFd dir;
  CRISP_ASSIGN_OR_RETURN(const sockaddr_un address, Address(path, dir));
  // Non-blocking: with the backlog of a shim that hangs full, connect(2) would wait without limit.
  base::UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::Errno("socket", path);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    const std::string text = absl::StrCat("connect ", path, ": ", base::ErrnoText(error));
    if (error == ECONNREFUSED) return absl::UnavailableError(text);
    if (error == EAGAIN) return absl::ResourceExhaustedError(text);
    return base::Errno("connect", path, error);
  }
  if (fcntl(fd.get(), F_SETFL, 0) != 0) return base::Errno("fcntl", path);
  return Channel(std::move(fd));
}

}  // namespace crisp::ipc
