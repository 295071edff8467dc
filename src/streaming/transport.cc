#include "streaming/transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"

namespace crisp::streaming {
namespace {

// With Check() every few seconds, each of the three checks finds a dead peer within a minute.
constexpr int kQuietSeconds = 20;
constexpr int kProbeSeconds = 10;
constexpr int kProbes = 3;
constexpr uint32_t kUnansweredMs = 45'000;
// The intervals of zero-window probes double from 0.2 s: the seventh is sent after about half a
// minute.
constexpr uint8_t kUnansweredProbes = 7;
// Values of tcpi_state (the kernel's net/tcp_states.h): both sides are closed, or the peer's is.
constexpr uint8_t kTcpClose = 7;
constexpr uint8_t kTcpCloseWait = 8;

void SetInt(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof(value));
}

}  // namespace

size_t Transport::Room() const {
  constexpr size_t kLittle = 16 << 10;
  return unsent() + kLittle > kMaxUnsentBytes ? 0 : kMaxUnsentBytes - unsent();
}

void Transport::Moved() { moved_ns_ = base::MonotonicNanos(); }

void Transport::Check(absl::Duration idle_timeout) {
  if (fd() < 0) return;
  const absl::Duration quiet = absl::Nanoseconds(base::MonotonicNanos() - moved_ns_);
  if (quiet >= idle_timeout || PeerIsGone(fd())) Abort();
}

void Transport::Stop() {
  const std::shared_ptr<TransportUser> leaving = user();
  if (!leaving || !leaving->OnStop()) Abort();
}

void SetSocketOptions(int fd) {
  SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, kQuietSeconds);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, kProbeSeconds);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
}

bool PeerIsGone(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  if (info.tcpi_state == kTcpClose || info.tcpi_state == kTcpCloseWait) return true;
  // TCP_USER_TIMEOUT would also end a connection whose peer answers but does not read, such as a
  // pager.
  if (info.tcpi_unacked > 0) {
    return info.tcpi_retransmits > 0 && info.tcpi_last_ack_recv >= kUnansweredMs;
  }
  return info.tcpi_probes >= kUnansweredProbes;
}

}  // namespace crisp::streaming
