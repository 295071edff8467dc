#include "fault/hostile/http2_client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/clock.h"

namespace crisp::hostile {

namespace {

uint32_t FromBig32(const std::string& bytes, size_t at) {
  uint32_t big = 0;
  memcpy(&big, bytes.data() + at, sizeof(big));
  return ntohl(big);
}

}  // namespace

namespace http2 {

std::string Big32(uint32_t value) {
  const uint32_t big = htonl(value);
  return std::string(reinterpret_cast<const char*>(&big), sizeof(big));
}

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string frame = Big32(static_cast<uint32_t>(payload.size())).substr(1);
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  return frame + Big32(stream) + payload;
}

std::string Integer(uint8_t first, int bits, uint64_t value) {
  const uint64_t full = (uint64_t{1} << bits) - 1;
  if (value < full) return std::string(1, static_cast<char>(first | value));
  std::string bytes(1, static_cast<char>(first | full));
  for (value -= full; value >= 128; value >>= 7) {
    bytes.push_back(static_cast<char>(value % 128 + 128));
  }
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

std::string Field(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + Integer(0, 7, name.size()) + name + Integer(0, 7, value.size()) +
         value;
}

std::string Block(const Headers& headers) {
  std::string block;
  for (const auto& [name, value] : headers) block += Field(name, value);
  return block;
}

Headers CallHeaders(const std::string& path) {
  return {{":method", "POST"},     {":scheme", "http"}, {":path", path},
          {":authority", "crisp"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
}

std::string Message(const std::string& bytes) {
  return std::string(1, '\0') + Big32(static_cast<uint32_t>(bytes.size())) + bytes;
}

std::string Call(uint32_t stream, const std::string& path, const std::string& request) {
  return Frame(kHeaders, kEndHeaders, stream, Block(CallHeaders(path))) +
         Frame(kData, kEndStream, stream, Message(request));
}

}  // namespace http2

base::UniqueFd Http2Client::Connect(const std::string& socket_path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) throw std::runtime_error("socket path");
  socket_path.copy(address.sun_path, socket_path.size());
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (!fd.valid() || connect(fd.get(), generic, sizeof(address)) != 0) {
    throw std::runtime_error("connect to " + socket_path + ": " + strerror(errno));
  }
  return fd;
}

Http2Client::Http2Client(const std::string& socket_path) : fd_(Connect(socket_path)) {
  Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2::Frame(http2::kSettings, 0, 0, ""));
}

bool Http2Client::Write(const std::string& bytes) {
  constexpr int kPatienceMs = 10'000;
  for (size_t sent = 0; sent < bytes.size();) {
    if (closed_) return false;
    pollfd ready = {.fd = fd_.get(), .events = POLLIN | POLLOUT, .revents = 0};
    if (poll(&ready, 1, kPatienceMs) <= 0) return false;
    if ((ready.revents & POLLIN) != 0) ReadSome(0);
    if ((ready.revents & POLLOUT) == 0) continue;
    const ssize_t size =
        send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno != EAGAIN && errno != EINTR) return false;
    sent += static_cast<size_t>(std::max<ssize_t>(size, 0));
  }
  return true;
}

Http2Client::End Http2Client::Await(uint32_t stream, absl::Duration patience) {
  const int64_t deadline = base::MonotonicNanos() + absl::ToInt64Nanoseconds(patience);
  while (true) {
    TakeFrames();
    const Stream& state = streams_[stream];
    if (state.reset) return End::kReset;
    if (state.ended) return End::kStream;
    if (!ReadSome(deadline)) return closed_ ? End::kConnection : End::kPatience;
  }
}

size_t Http2Client::Pour(uint32_t stream, const std::string& begin, size_t bytes,
                         absl::Duration patience) {
  constexpr int64_t kFrame = 16 << 10;  // of one frame (RFC 9113, 4.2)
  std::string payload = begin;
  size_t sent = 0;
  while (sent < bytes) {
    TakeFrames();
    Stream& state = streams_[stream];
    if (closed_ || state.ended || state.reset) break;
    const int64_t room = std::min({stream_window_ + state.window, connection_window_, kFrame});
    if (room < std::max<int64_t>(static_cast<int64_t>(payload.size()), 1)) {
      if (!ReadSome(base::MonotonicNanos() + absl::ToInt64Nanoseconds(patience))) break;
      continue;
    }
    payload.resize(room, 'x');
    if (!Write(http2::Frame(http2::kData, 0, stream, payload))) break;
    payload.clear();
    state.window -= room;
    connection_window_ -= room;
    sent += static_cast<size_t>(room);
  }
  return sent;
}

bool Http2Client::ReadSome(int64_t deadline_ns) {
  const int64_t left_ms = (deadline_ns - base::MonotonicNanos()) / 1'000'000;
  pollfd ready = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
  if (closed_ || poll(&ready, 1, static_cast<int>(std::max<int64_t>(left_ms, 0))) <= 0) {
    return false;
  }
  char buffer[64 << 10];
  const ssize_t size = recv(fd_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  if (size > 0) received_.append(buffer, static_cast<size_t>(size));
  closed_ = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
  return !closed_;
}

void Http2Client::TakeFrames() {
  size_t at = 0;
  const auto byte = [&](size_t offset) { return static_cast<uint8_t>(received_[at + offset]); };
  while (received_.size() - at >= 9) {
    const size_t size = static_cast<size_t>(byte(0)) << 16 | byte(1) << 8 | byte(2);
    if (received_.size() - at < 9 + size) break;
    const uint32_t stream = (byte(5) & 0x7fu) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
    TakeFrame(byte(3), byte(4), stream, received_.substr(at + 9, size));
    at += 9 + size;
  }
  received_.erase(0, at);
}

void Http2Client::TakeFrame(uint8_t type, uint8_t flags, uint32_t stream,
                            const std::string& payload) {
  if (type == http2::kSettings && (flags & http2::kAck) == 0) {
    for (size_t at = 0; at + 6 <= payload.size(); at += 6) {
      if (payload[at] == 0 && payload[at + 1] == http2::kInitialWindowSize) {
        stream_window_ = FromBig32(payload, at + 2);
      }
    }
    Write(http2::Frame(http2::kSettings, http2::kAck, 0, ""));
  } else if (type == http2::kPing && (flags & http2::kAck) == 0) {
    Write(http2::Frame(http2::kPing, http2::kAck, 0, payload));
  } else if (type == http2::kWindowUpdate && payload.size() == 4) {
    (stream == 0 ? connection_window_ : streams_[stream].window) += FromBig32(payload, 0);
  } else if (type == http2::kGoAway) {
    goaway_ = true;
  } else if (type == http2::kReset) {
    streams_[stream].reset = true;
  } else if (type == http2::kData || type == http2::kHeaders) {
    if (type == http2::kData) streams_[stream].data += payload;
    if ((flags & http2::kEndStream) != 0) streams_[stream].ended = true;
  }
}

}  // namespace crisp::hostile
