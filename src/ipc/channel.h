// Messages with descriptors between crispd and a shim: unix(7) SOCK_SEQPACKET, one protobuf message
// per packet, descriptors as SCM_RIGHTS. What the messages mean is not known here; see shim.proto.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/deadline.h"
#include "base/unique_fd.h"
#include "google/protobuf/message_lite.h"

namespace crisp::ipc {

// Larger packets are refused by sender and receiver. Below the kernel's limit, net.core.wmem_max
// (208 KiB by default).
inline constexpr size_t kMaxPacketBytes = 192 << 10;
inline constexpr size_t kMaxPacketFds = 4;

struct Packet {
  std::string data;
  std::vector<base::UniqueFd> fds;  // O_CLOEXEC
};

// One end of a connection. Movable, owned by one thread at a time.
class Channel {
 public:
  Channel() = default;
  explicit Channel(base::UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  void Close() { fd_.reset(); }

  // Sends one packet; `fds` stay the caller's. kUnavailable when the peer has closed the
  // connection, kInvalidArgument for too large a packet. On a non-blocking socket it never blocks
  // and fails when the peer does not read.
  absl::Status Send(const google::protobuf::MessageLite& message,
                    const std::vector<int>& fds = {}) const;

  // The same, and never blocks: kUnavailable also when the peer has not read what came before.
  absl::Status SendAtOnce(const google::protobuf::MessageLite& message) const;

  // Waits for one packet; with a deadline that has passed, takes only what has arrived.
  // kUnavailable "connection closed" at end of file, kDeadlineExceeded when nothing came in time,
  // kInvalidArgument when bytes do not parse or the packet is too large.
  absl::StatusOr<Packet> Receive(base::Deadline deadline = base::Deadline::Never()) const;
  template <typename Message>
  absl::StatusOr<Message> ReceiveMessage(std::vector<base::UniqueFd>* fds = nullptr,
                                         base::Deadline deadline = base::Deadline::Never()) const {
    absl::StatusOr<Packet> packet = Receive(deadline);
    if (!packet.ok()) return packet.status();
    Message message;
    if (!message.ParseFromString(packet->data))
      return absl::InvalidArgumentError("receive: malformed message");
    if (fds != nullptr) *fds = std::move(packet->fds);
    return message;
  }

 private:
  absl::Status SendPacket(const google::protobuf::MessageLite& message, const std::vector<int>& fds,
                          int flags) const;

  base::UniqueFd fd_;
};

// A listening socket at `path`, mode 0600; an existing file there is removed. `path` may be longer
// than sun_path of unix(7).
absl::StatusOr<base::UniqueFd> Listen(const std::string& path);
// kNotFound without a socket at `path`, kUnavailable when no process listens on it,
// kResourceExhausted when its backlog is full: the shim hangs, or crispd is short of descriptors.
absl::StatusOr<Channel> Connect(const std::string& path);

}  // namespace crisp::ipc
