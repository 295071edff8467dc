// A client of a gRPC server on a unix socket that writes HTTP/2 frames (RFC 9113) itself, so that
// it can send what no library sends. Blocking, for one thread. Header fields are literals without
// indexing and without Huffman codes (RFC 7541, 6.2.2). Errors of the socket's set-up throw
// std::runtime_error.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace crisp::hostile {

namespace http2 {

enum Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9
};
enum Flag : uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4 };
inline constexpr char kInitialWindowSize = 4;  // of SETTINGS

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);
std::string Big32(uint32_t value);
// An integer with a prefix of `bits` (RFC 7541, 5.1); the bits above the prefix are `first`'s.
std::string Integer(uint8_t first, int bits, uint64_t value);
std::string Field(const std::string& name, const std::string& value);
std::string Block(const Headers& headers);
// The fields of a call as every gRPC client sends them; `path` is like /runtime.v1.ImageService/X.
Headers CallHeaders(const std::string& path);
// One message of a gRPC stream: not compressed, its length, its bytes.
std::string Message(const std::string& bytes);
// The HEADERS and DATA frames of one whole call.
std::string Call(uint32_t stream, const std::string& path, const std::string& request);

}  // namespace http2

class Http2Client {
 public:
  // Connects and sends the preface and the SETTINGS frame that start a connection.
  explicit Http2Client(const std::string& socket_path);
  // Only connects.
  static base::UniqueFd Connect(const std::string& socket_path);

  // Writes all and reads meanwhile what the server sends. False: the server has closed, or took
  // nothing for ten seconds.
  bool Write(const std::string& bytes);
  // Reads and answers what needs an answer (SETTINGS, PING) until `stream` ends or is reset, or the
  // connection ends, or `patience` is over.
  enum class End { kStream, kReset, kConnection, kPatience };
  End Await(uint32_t stream, absl::Duration patience);
  // Sends `begin` and up to `bytes` more of `stream`'s data as the server's windows allow (RFC
  // 9113, 5.2), until the stream or the connection ends or the server takes nothing for `patience`.
  // Returns the number of bytes sent.
  size_t Pour(uint32_t stream, const std::string& begin, size_t bytes, absl::Duration patience);
  // The bytes of the DATA frames of `stream`.
  const std::string& data(uint32_t stream) { return streams_[stream].data; }
  bool goaway() const { return goaway_; }
  void Close() { fd_.reset(); }

 private:
  struct Stream {
    std::string data;
    int64_t window = 0;  // bytes: what WINDOW_UPDATE allowed less what was sent
    bool ended = false;
    bool reset = false;
  };
  // False at the end of the connection, or when there was nothing before `deadline_ns`.
  bool ReadSome(int64_t deadline_ns);
  void TakeFrames();
  void TakeFrame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);

  base::UniqueFd fd_;
  std::string received_;
  std::map<uint32_t, Stream> streams_;
  // Bytes, as a connection begins (RFC 9113, 6.9.2).
  int64_t stream_window_ = 65'535;
  int64_t connection_window_ = 65'535;
  bool goaway_ = false;
  bool closed_ = false;
};

}  // namespace crisp::hostile
