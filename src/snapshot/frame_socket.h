// The messages between crispd and the two processes that unpack a layer (unpack_roles.h). One
// SOCK_SEQPACKET pair (unix(7)) for each direction of bytes; a message is a kind, some text, and
// with some kinds a descriptor. What crispd receives may come from a process that a hostile layer
// has taken over: every message is checked, and a descriptor is taken only where one is expected.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/deadline.h"
#include "base/unique_fd.h"

namespace crisp::snapshot {

enum class FrameKind : uint8_t {
  kChunk = 1,   // the next chunk of the shared memory is full; its size (chunk_channel.h)
  kFree = 2,    // the oldest full chunk may be filled again
  kEnd = 3,     // the last one; a status
  kOpaque = 4,  // untarrer to crispd: please mark this directory opaque (a descriptor)
  kWaits = 5,   // untarrer to crispd: the rest needs the lower layers
  kLower = 6,   // crispd to untarrer: the lower layers (a descriptor), if there are any
};

struct Frame {
  FrameKind kind = FrameKind::kEnd;
  std::string text;
  base::UniqueFd fd;
};

// One end of a pair. Owned by one thread at a time.
class FrameSocket {
 public:
  FrameSocket() = default;
  explicit FrameSocket(base::UniqueFd fd) : fd_(std::move(fd)) {}
  static absl::StatusOr<std::pair<FrameSocket, FrameSocket>> Pair();

  int fd() const { return fd_.get(); }
  void Close() { fd_.reset(); }
  // For crispd's end. Receive() calls `look` ten times a second, whether it waits or not, and gives
  // up with its error or at its deadline. Send() does not wait: few messages are under way, unless
  // the peer does not read them.
  void Watch(std::function<absl::Status()> look) { look_ = std::move(look); }

  // Blocks while the peer does not read. kUnavailable when the peer is gone.
  absl::Status Send(FrameKind kind, absl::string_view text = {}, int fd = -1) const;
  // The status travels as its code and text.
  absl::Status SendEnd(const absl::Status& status) const;
  // kUnavailable when the peer is gone, kInternal for what is not a message. A descriptor that
  // comes along is dropped unless `with_fd`; kResourceExhausted when it cannot be received. The
  // deadline counts only after Watch().
  absl::StatusOr<Frame> Receive(bool with_fd = false,
                                base::Deadline deadline = base::Deadline::Never()) const;

 private:
  absl::Status Await(base::Deadline deadline) const;

  base::UniqueFd fd_;
  std::function<absl::Status()> look_;
  mutable base::Deadline next_look_ = base::Deadline::At(0);
};

// The status of a kEnd, with control characters replaced, as they may be hostile. The codes with
// which crispd says that a registry is not there, or a caller, become kInternal.
absl::Status StatusOf(const Frame& end);
// For a message that the receiver does not expect.
absl::Status Unexpected(const Frame& frame);

}  // namespace crisp::snapshot
