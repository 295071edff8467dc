#include "snapshot/frame_socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/deadline.h"
#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::snapshot {
namespace {

constexpr size_t kMaxText = 8192;  // of an error: a name, escaped, and what went wrong
constexpr int kLookMillis = 100;

absl::Status Gone() { return absl::UnavailableError("the process at the other end is gone"); }

// ECONNRESET: the peer left without having read everything. The kernel says so once, even before
// what the peer has sent.
bool Again(int error) { return error == EINTR || error == ECONNRESET; }

}  // namespace

absl::StatusOr<std::pair<FrameSocket, FrameSocket>> FrameSocket::Pair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return base::Errno("socketpair", "");
  }
  return std::make_pair(FrameSocket(base::UniqueFd(fds[0])), FrameSocket(base::UniqueFd(fds[1])));
}

absl::Status FrameSocket::Send(FrameKind kind, absl::string_view text, int fd) const {
  text = text.substr(0, kMaxText);
  iovec parts[2] = {{&kind, sizeof(kind)}, {const_cast<char*>(text.data()), text.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
  }
  const int flags = MSG_NOSIGNAL | (look_ ? MSG_DONTWAIT : 0);
  ssize_t n;
  do {
    n = sendmsg(fd_.get(), &message, flags);
  } while (n < 0 && Again(errno));
  if (n >= 0) return absl::OkStatus();
  if (errno == EAGAIN) return absl::InternalError("the process at the other end does not read");
  return errno == EPIPE ? Gone() : base::Errno("send", "");
}

absl::Status FrameSocket::SendEnd(const absl::Status& status) const {
  const char code = static_cast<char>(status.raw_code());
  return Send(FrameKind::kEnd, absl::StrCat(absl::string_view(&code, 1), status.message()));
}

absl::Status FrameSocket::Await(base::Deadline deadline) const {
  if (!look_) return absl::OkStatus();
  while (true) {
    pollfd entry = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
    const int ready = poll(&entry, 1, kLookMillis);
    if (ready < 0 && errno != EINTR) return base::Errno("poll", "");
    // By the clock: a peer that never stops sending must not keep it from being called.
    if (next_look_.Passed()) {
      CRISP_RETURN_IF_ERROR(look_());
      next_look_ = base::Deadline::In(absl::Milliseconds(kLookMillis));
    }
    if (deadline.Passed())
      return absl::InternalError("the process at the other end takes too long");
    if (ready > 0) return absl::OkStatus();
  }
}

absl::StatusOr<Frame> FrameSocket::Receive(bool with_fd, base::Deadline deadline) const {
  CRISP_RETURN_IF_ERROR(Await(deadline));
  std::array<char, 1 + 1 + kMaxText> bytes;
  iovec part = {bytes.data(), bytes.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (with_fd) {
    message.msg_control = control;
    // Not CMSG_SPACE: with its padding the kernel would find room for a second descriptor.
    message.msg_controllen = CMSG_LEN(sizeof(int));
  }
  ssize_t n;
  do {
    n = recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && Again(errno));
  if (n < 0) return base::Errno("receive", "");
  Frame frame;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(int));
    frame.fd.reset(fd);
  }
  if (n == 0) return Gone();
  if (with_fd && (message.msg_flags & MSG_CTRUNC) != 0) {
    return absl::ResourceExhaustedError("a message's descriptor could not be received");
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) return absl::InternalError("a message is too long");
  frame.kind = static_cast<FrameKind>(bytes[0]);
  frame.text.assign(bytes.data() + 1, static_cast<size_t>(n) - 1);
  return frame;
}

absl::Status StatusOf(const Frame& end) {
  if (end.text.empty()) return absl::InternalError("a result without a code");
  const int raw = static_cast<unsigned char>(end.text[0]);
  if (raw == 0) return absl::OkStatus();
  std::string text = end.text.substr(1);
  for (char& c : text) {
    if (c < ' ' || c == 0x7f) c = '?';
  }
  // A code that is not one of Abseil's is kUnknown then.
  const absl::StatusCode code = absl::Status(static_cast<absl::StatusCode>(raw), "").code();
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
      return absl::InternalError(text);
    default:
      return absl::Status(code, text);
  }
}

absl::Status Unexpected(const Frame& frame) {
  return absl::InternalError(
      absl::StrCat("message ", static_cast<int>(frame.kind), " is not expected now"));
}

}  // namespace crisp::snapshot
