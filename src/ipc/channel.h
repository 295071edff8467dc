// Datagrams with descriptors between crispd and a shim: unix(7) SOCK_SEQPACKET, one protobuf
// message per packet, descriptors as SCM_RIGHTS. Nothing here knows what the messages mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "google/protobuf/message_lite.h"

namespace crisp::ipc {

// A packet larger than this is refused on both sides; the kernel's own limit is net.core.wmem_max
// (~208 KiB).
inline constexpr size_t kMaxPacketBytes = 192 << 10;
inline constexpr size_t kMaxPacketFds = 4;
inline constexpr int64_t kNoDeadline = INT64_MAX;

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

  // Sends one packet; never blocks on a non-blocking socket (kUnavailable when the peer does not
  // read).
  absl::Status Send(const google::protobuf::MessageLite& message,
                    const std::vector<int>& fds = {}) const;

  // Waits until `deadline` (base::MonotonicNanos) for one packet. kUnavailable "connection closed"
  // at end of file, kDeadlineExceeded when time is up, kInvalidArgument when bytes do not parse or
  // the packet is too large.
  absl::StatusOr<Packet> Receive(int64_t deadline_ns = kNoDeadline) const;
  template <typename Message>
  absl::StatusOr<Message> ReceiveMessage(std::vector<base::UniqueFd>* fds = nullptr,
                                         int64_t deadline_ns = kNoDeadline) const {
    absl::StatusOr<Packet> packet = Receive(deadline_ns);
    if (!packet.ok()) return packet.status();
    Message message;
    if (!message.ParseFromString(packet->data))
      return absl::InvalidArgumentError("receive: malformed message");
    if (fds != nullptr) *fds = std::move(packet->fds);
    return message;
  }

 private:
  base::UniqueFd fd_;
};

// A socket at `path` (mode 0600, removed first if it exists) that listens. Paths longer than
// sun_path go through /proc/self/fd of the directory.
absl::StatusOr<base::UniqueFd> Listen(const std::string& path);
// kNotFound or kUnavailable when nobody listens.
absl::StatusOr<Channel> Connect(const std::string& path);

}  // namespace crisp::ipc
