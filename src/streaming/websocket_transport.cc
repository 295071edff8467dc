#include "streaming/websocket_transport.h"

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/http_head.h"
#include "streaming/socket_transport.h"

namespace crisp::streaming {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using Error = boost::system::error_code;
using Tcp = asio::ip::tcp;

namespace {

constexpr size_t kReadBytes = 32 << 10;
// A close frame with code 1000, normal closure (RFC 6455, sections 5.5.1 and 7.4.1).
constexpr unsigned char kCloseFrame[] = {0x88, 2, 1000 >> 8, 1000 & 0xff};

// A socket type of its own selects the async_teardown() below. Beast's waits for the peer to close
// before it reports the end, and a hostile peer could keep its session alive by not closing.
struct Socket : Tcp::socket {
  using Tcp::socket::socket;
};

template <typename Handler>
void async_teardown(boost::beast::role_type, Socket& socket, Handler&& handler) {
  asio::post(socket.get_executor(),
             boost::beast::bind_front_handler(std::forward<Handler>(handler), Error()));
}

class WebSocketTransport : public Transport,
                           public std::enable_shared_from_this<WebSocketTransport> {
 public:
  WebSocketTransport(Loop* loop, bool text)
      : loop_(loop), socket_(loop->context()), linger_(loop), text_(text) {}

  bool Accept(base::UniqueFd fd, absl::string_view head, std::string protocol);

  void Start(std::shared_ptr<TransportUser> user) override { user_ = std::move(user); }
  void Send(absl::string_view head, absl::string_view body) override;
  size_t unsent() const override { return unsent_; }
  void SetReading(bool on) override;
  void Close() override;
  void Abort() override;
  int fd() const override { return closed_ ? -1 : fd_; }

 private:
  std::shared_ptr<TransportUser> user() const override { return user_; }
  void Read();
  void OnReadSome(const Error& error, size_t size);
  void WriteNext();
  void OnWritten(const Error& error);
  void SendClose();

  Loop* const loop_;
  websocket::stream<Socket> socket_;
  Timer linger_;
  const bool text_;
  int fd_ = -1;
  std::shared_ptr<TransportUser> user_;
  std::unique_ptr<char[]> read_buffer_;
  std::deque<std::string> messages_;
  size_t unsent_ = 0;
  bool open_ = false;  // the handshake is done
  bool wants_read_ = true;
  bool reading_ = false;
  bool writing_ = false;
  bool closing_ = false;
  bool close_sent_ = false;
  bool closed_ = false;
};

bool WebSocketTransport::Accept(base::UniqueFd fd, absl::string_view head, std::string protocol) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  Error error;
  socket_.next_layer().assign(address.ss_family == AF_INET6 ? Tcp::v6() : Tcp::v4(), fd.get(),
                              error);
  if (error) return false;
  fd_ = fd.release();
  Moved();
  websocket::stream_base::timeout timeouts = {};  // Check() handles idle and vanished peers
  timeouts.handshake_timeout = absl::ToChronoSeconds(kLinger);
  timeouts.idle_timeout = websocket::stream_base::none();
  socket_.set_option(timeouts);
  socket_.set_option(websocket::stream_base::decorator(
      [protocol = std::move(protocol)](websocket::response_type& response) {
        if (!protocol.empty()) {
          response.set(boost::beast::http::field::sec_websocket_protocol, protocol);
        }
      }));
  socket_.read_message_max(kMaxMessageBytes);
  socket_.auto_fragment(false);
  socket_.text(text_);
  // Parsed a second time, because Beast needs its own type and its own parse allows only 1.5 KiB.
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kMaxHeadBytes);
  parser.put(asio::buffer(head.data(), head.size()), error);
  auto request = std::make_shared<http::request<http::empty_body>>(parser.release());
  socket_.async_accept(*request, [self = shared_from_this(), request](const Error& failure) {
    if (failure || self->closed_) return self->Abort();
    self->open_ = true;
    self->Read();
    self->WriteNext();
  });
  return true;
}

void WebSocketTransport::SetReading(bool on) {
  wants_read_ = on;
  Read();
}

void WebSocketTransport::Read() {
  if (!open_ || reading_ || closed_ || (!wants_read_ && !closing_)) return;
  reading_ = true;
  if (!read_buffer_) read_buffer_ = std::make_unique<char[]>(kReadBytes);
  socket_.async_read_some(asio::buffer(read_buffer_.get(), kReadBytes),
                          [self = shared_from_this()](const Error& error, size_t size) {
                            self->OnReadSome(error, size);
                          });
}

void WebSocketTransport::OnReadSome(const Error& error, size_t size) {
  reading_ = false;
  if (error || closed_) return Abort();
  Moved();
  if (!closing_) {
    const std::shared_ptr<TransportUser> user = user_;
    user->OnBytes(absl::string_view(read_buffer_.get(), size), socket_.is_message_done());
  }
  Read();
}

void WebSocketTransport::Send(absl::string_view head, absl::string_view body) {
  if (closing_ || closed_) return;
  messages_.push_back(absl::StrCat(head, body));
  unsent_ += messages_.back().size();
  WriteNext();
}

void WebSocketTransport::WriteNext() {
  if (!open_ || writing_ || closed_ || close_sent_) return;
  if (messages_.empty()) {
    if (closing_) SendClose();
    return;
  }
  writing_ = true;
  socket_.async_write(
      asio::buffer(messages_.front()),
      [self = shared_from_this()](const Error& error, size_t) { self->OnWritten(error); });
}

// Does not use Beast's async_close() (Boost 1.74): it waits for a running read, and if the peer's
// next frame is bad, that read waits for the close, so neither ends. Here the read continues, drops
// what comes and ends with the peer's close frame or the end of the connection.
void WebSocketTransport::SendClose() {
  close_sent_ = true;
  Read();
  asio::async_write(socket_.next_layer(), asio::buffer(kCloseFrame),
                    [self = shared_from_this()](const Error& error, size_t) {
                      if (error) self->Abort();
                    });
  linger_.Start(kLinger, [this] { Abort(); });
}

void WebSocketTransport::OnWritten(const Error& error) {
  writing_ = false;
  unsent_ -= messages_.front().size();
  messages_.pop_front();
  if (error || closed_) return Abort();
  Moved();
  WriteNext();
  if (closing_ || closed_ || !writable()) return;
  const std::shared_ptr<TransportUser> user = user_;
  user->OnWritable();
}

void WebSocketTransport::Close() {
  if (closing_ || closed_) return;
  closing_ = true;
  WriteNext();
}

void WebSocketTransport::Abort() {
  if (closed_) return;
  closed_ = true;
  linger_.Cancel();
  Error ignored;
  socket_.next_layer().close(ignored);
  if (!user_) return;
  loop_->Post([self = shared_from_this(), user = std::move(user_)] { user->OnClosed(); });
}

}  // namespace

std::shared_ptr<Transport> AcceptWebSocket(Loop* loop, base::UniqueFd fd, absl::string_view head,
                                           std::string protocol, bool text) {
  auto transport = std::make_shared<WebSocketTransport>(loop, text);
  if (!transport->Accept(std::move(fd), head, std::move(protocol))) return nullptr;
  return transport;
}

}  // namespace crisp::streaming
