#include "test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>
#include <stdexcept>

#include "streaming/spdy_headers.h"

namespace crisp::streaming {
namespace {

void Require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

}  // namespace

Connection::Connection(const std::string& url) {
  const std::string prefix = "http://";
  const size_t slash = url.find('/', prefix.size());
  const size_t colon = url.rfind(':', slash);
  Require(url.compare(0, prefix.size(), prefix) == 0 && slash != std::string::npos &&
              colon > prefix.size(),
          "not a URL of a streaming server: " + url);
  path_ = url.substr(slash);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port =
      htons(static_cast<uint16_t>(std::stoi(url.substr(colon + 1, slash - colon - 1))));
  const std::string host = url.substr(prefix.size(), colon - prefix.size());
  Require(inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1, "not an IPv4 URL: " + url);
  fd_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval timeout = {10, 0};
  for (const int direction : {SO_RCVTIMEO, SO_SNDTIMEO})
    setsockopt(fd_.get(), SOL_SOCKET, direction, &timeout, sizeof(timeout));
  Require(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0,
          "no connection to " + url);
}

std::string Connection::ReadSome() {
  if (!received_.empty()) return std::move(received_);
  std::string bytes(64 << 10, '\0');
  ssize_t size;
  do {  // with a timeout set, even an ignored SIGCHLD interrupts
    size = recv(fd_.get(), bytes.data(), bytes.size(), 0);
  } while (size < 0 && errno == EINTR);
  Require(size >= 0 || errno != EAGAIN, "the server sent nothing for ten seconds");
  bytes.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return bytes;
}

std::string Connection::ReadAll() {
  std::string all;
  while (true) {
    const std::string some = ReadSome();
    if (some.empty()) return all;
    all += some;
  }
}

bool Connection::Write(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t size = send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    sent += static_cast<size_t>(size);
  }
  return true;
}

std::string Connection::Ask(const std::string& head) {
  Write(head);
  std::string answer;
  size_t end;
  while ((end = answer.find("\r\n\r\n")) == std::string::npos) {
    const std::string some = ReadSome();
    if (some.empty()) return answer;
    answer += some;
  }
  received_ = answer.substr(end + 4);
  return answer.substr(0, end + 4);
}

std::string Connection::Take(size_t size) {
  while (received_.size() < size) {
    std::string before = std::move(received_);
    received_.clear();
    const std::string some = ReadSome();
    received_ = before + some;
    if (some.empty()) break;
  }
  std::string taken = received_.substr(0, size);
  received_.erase(0, taken.size());
  return taken;
}

std::string SpdyHead(const std::string& path, const std::vector<std::string>& protocols) {
  std::string head = "POST " + path + " HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\n" +
                     "Upgrade: SPDY/3.1\r\nContent-Length: 0\r\n";
  for (const std::string& name : protocols) head += "X-Stream-Protocol-Version: " + name + "\r\n";
  return head + "\r\n";
}

std::string WebSocketHead(const std::string& path, const std::string& protocol) {
  std::string head = "GET " + path +
                     " HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  if (!protocol.empty()) head += "Sec-WebSocket-Protocol: " + protocol + "\r\n";
  return head + "\r\n";
}

std::string Big32(uint32_t value) {
  const uint32_t big = htonl(value);
  return std::string(reinterpret_cast<const char*>(&big), 4);
}

std::string ControlFrame(uint16_t type, uint8_t flags, const std::string& body) {
  return Big32(0x80030000u | type) +
         Big32(static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(body.size())) + body;
}

std::string DataFrame(uint32_t id, uint8_t flags, const std::string& data) {
  return Big32(id) +
         Big32(static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(data.size())) + data;
}

std::string PlainHeaderBlock(const HeaderList& headers) {
  std::string block = Big32(static_cast<uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    block += Big32(static_cast<uint32_t>(name.size())) + name +
             Big32(static_cast<uint32_t>(value.size())) + value;
  }
  return block;
}

HeaderDeflater::HeaderDeflater() {
  deflateInit(&stream_, 9);
  const std::string& dictionary = SpdyDictionary();
  deflateSetDictionary(&stream_, reinterpret_cast<const Bytef*>(dictionary.data()),
                       static_cast<uInt>(dictionary.size()));
}

HeaderDeflater::~HeaderDeflater() { deflateEnd(&stream_); }

std::string HeaderDeflater::Deflate(const std::string& block) {
  std::string out(deflateBound(&stream_, block.size()) + 64, '\0');
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  stream_.avail_in = static_cast<uInt>(block.size());
  stream_.next_out = reinterpret_cast<Bytef*>(out.data());
  stream_.avail_out = static_cast<uInt>(out.size());
  deflate(&stream_, Z_SYNC_FLUSH);
  out.resize(out.size() - stream_.avail_out);
  return out;
}

std::string SpdyClient::OpenFrame(const HeaderList& headers) {
  const std::string fixed = Big32(next_id) + Big32(0) + std::string(2, '\0');
  next_id += 2;
  return ControlFrame(1, 0, fixed + deflater_.Deflate(PlainHeaderBlock(headers)));
}

uint32_t SpdyClient::Open(const HeaderList& headers) {
  connection.Write(OpenFrame(headers));
  return next_id - 2;
}

bool SpdyClient::ReadFrame() {
  const std::string head = connection.Take(8);
  if (head.size() < 8) return false;
  auto read32 = [](const std::string& bytes, size_t at) {
    uint32_t value;
    std::memcpy(&value, bytes.data() + at, 4);
    return ntohl(value);
  };
  const uint32_t first = read32(head, 0);
  const uint8_t flags = static_cast<uint8_t>(head[4]);
  const std::string body = connection.Take(read32(head, 4) & 0xffffff);
  if (first < 0x80000000) {
    Stream& stream = streams[first];
    Require(stream.replied, "data before the reply, which real clients drop");
    Require(!stream.fin, "data after the end of a stream");
    stream.data += body;
    if (flags & 1) {
      stream.fin = true;
      stream.end_order = ++ends_;
    }
    return true;
  }
  const uint32_t value = body.size() >= 4 ? read32(body, 0) : 0;
  switch (first & 0xffff) {
    case 2:
      streams[value].replied = true;
      break;
    case 3:
      streams[value].reset = read32(body, 4);
      break;
    case 6:
      pings.push_back(value);
      break;
    case 7:
      goaway = read32(body, 4);
      break;
    default:
      Require(false, "frame of type " + std::to_string(first & 0xffff));
  }
  return true;
}

bool WebSocketClient::SendFrame(uint8_t first_byte, const std::string& payload, bool masked) {
  std::string frame(1, static_cast<char>(first_byte));
  const uint8_t mask_bit = masked ? 0x80 : 0;
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(mask_bit | payload.size()));
  } else {
    frame.push_back(static_cast<char>(mask_bit | 127));
    frame += Big32(0) + Big32(static_cast<uint32_t>(payload.size()));
  }
  const std::string mask = masked ? "abcd" : "";
  frame += mask;
  for (size_t i = 0; i < payload.size(); ++i) {
    frame.push_back(static_cast<char>(payload[i] ^ (masked ? mask[i % 4] : 0)));
  }
  return connection.Write(frame);
}

bool WebSocketClient::Send(const std::string& message, bool text) {
  return SendFrame(text ? 0x81 : 0x82, message);
}

std::optional<WebSocketClient::Message> WebSocketClient::Read() {
  const std::string head = connection.Take(2);
  if (head.size() < 2) return std::nullopt;
  Require((head[0] & 0x80) != 0, "a fragmented message");
  uint64_t size = static_cast<uint8_t>(head[1]);
  if (size >= 126) {
    uint64_t value = 0;
    for (const char c : connection.Take(size == 126 ? 2 : 8)) {
      value = value << 8 | static_cast<uint8_t>(c);
    }
    size = value;
  }
  return Message{static_cast<uint8_t>(head[0] & 0xf), connection.Take(size)};
}

void WebSocketClient::ReadToEnd() {
  while (std::optional<Message> message = Read()) {
    if (message->opcode == 8) {
      const std::string& code = message->payload;
      if (code.size() >= 2) {
        close_code = static_cast<uint16_t>(static_cast<uint8_t>(code[0]) << 8 |
                                           static_cast<uint8_t>(code[1]));
      }
      SendFrame(0x88, code);
    } else if (message->opcode <= 2 && !message->payload.empty()) {
      channels[message->payload[0]] += message->payload.substr(1);
    }
  }
}

}  // namespace crisp::streaming
