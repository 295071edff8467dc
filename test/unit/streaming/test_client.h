// Minimal blocking clients for the tests, independent of the server's code: HTTP upgrade, SPDY/3.1
// and WebSocket. What a server must never do, and ten seconds without a byte, throw
// std::runtime_error.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace crisp::streaming {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// A TCP connection to the host of `url`; reads fail after ten seconds.
class Connection {
 public:
  explicit Connection(const std::string& url);

  // "" when the server closed first.
  std::string ReadSome();
  // All bytes until the server closes.
  std::string ReadAll();
  // False when the server closed, or took nothing for ten seconds.
  bool Write(const std::string& bytes);
  void Close() { fd_.reset(); }
  int fd() const { return fd_.get(); }

  // Sends `head` and returns the whole head of the answer; what follows it stays for Take().
  std::string Ask(const std::string& head);
  std::string Take(size_t size);  // shorter only at the end of the connection

  const std::string& path() const { return path_; }

 private:
  base::UniqueFd fd_;
  std::string path_;
  std::string received_;
};

std::string SpdyHead(const std::string& path, const std::vector<std::string>& protocols);
std::string WebSocketHead(const std::string& path, const std::string& protocol);

// Frames as a client sends them. Public so that tests can damage them.
std::string ControlFrame(uint16_t type, uint8_t flags, const std::string& body);
std::string DataFrame(uint32_t id, uint8_t flags, const std::string& data);
std::string Big32(uint32_t value);
std::string PlainHeaderBlock(const HeaderList& headers);

class HeaderDeflater {
 public:
  HeaderDeflater();
  ~HeaderDeflater();
  std::string Deflate(const std::string& block);

 private:
  z_stream stream_ = {};
};

class SpdyClient {
 public:
  // Transport is raw after an upgrade, or the caller's (WebSocket tunnel).
  explicit SpdyClient(const std::string& url) : connection(url) {}

  // The answer's head.
  std::string Upgrade(const std::vector<std::string>& protocols) {
    return connection.Ask(SpdyHead(connection.path(), protocols));
  }
  std::string OpenFrame(const HeaderList& headers);  // for the next stream
  uint32_t Open(const HeaderList& headers);
  bool Send(uint32_t id, const std::string& data, bool fin = false) {
    return connection.Write(DataFrame(id, fin, data));
  }
  // Reads one frame into the members below; false at the end of the connection.
  bool ReadFrame();
  void ReadToEnd() {
    while (ReadFrame()) {
    }
  }

  struct Stream {
    std::string data;
    bool replied = false;
    bool fin = false;
    uint32_t reset = 0;
    int end_order = 0;  // position among all FINs
  };
  Connection connection;
  std::map<uint32_t, Stream> streams;
  std::vector<uint32_t> pings;
  std::optional<uint32_t> goaway;  // its status, once received
  uint32_t next_id = 1;

 private:
  HeaderDeflater deflater_;
  int ends_ = 0;
};

class WebSocketClient {
 public:
  explicit WebSocketClient(const std::string& url) : connection(url) {}

  std::string Upgrade(const std::string& protocol) {
    return connection.Ask(WebSocketHead(connection.path(), protocol));
  }
  bool Send(const std::string& message, bool text = false);
  bool SendFrame(uint8_t first_byte, const std::string& payload, bool masked = true);

  struct Message {
    uint8_t opcode;
    std::string payload;
  };
  std::optional<Message> Read();
  // Data by channel (base64 undone by the caller) until the close frame, which is answered.
  void ReadToEnd();

  Connection connection;
  std::map<char, std::string> channels;
  std::optional<uint16_t> close_code;
};

}  // namespace crisp::streaming
