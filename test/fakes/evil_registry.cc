#include "fakes/evil_registry.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace crisp::image {
namespace {

// Makes the following close(2) send an RST.
void ResetOnClose(int fd) {
  const linger abort{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
}

}  // namespace

// What goes over a connection, with or without TLS.
struct EvilRegistry::Stream {
  int fd;
  SSL* tls;  // nullptr: without

  // <= 0 at the end.
  ssize_t Receive(char* to, size_t size) const {
    return tls == nullptr ? recv(fd, to, size, 0) : SSL_read(tls, to, static_cast<int>(size));
  }
  bool WriteAll(absl::string_view data) const {
    while (!data.empty()) {
      const ssize_t n = tls == nullptr ? send(fd, data.data(), data.size(), MSG_NOSIGNAL)
                                       : SSL_write(tls, data.data(), static_cast<int>(data.size()));
      if (n <= 0) return false;
      data.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // Until the client closes the connection, or the server is destroyed and shuts the socket down.
  void AwaitHangup() const {
    char byte;
    while (Receive(&byte, 1) > 0) {
    }
  }
  // False at the end of the connection.
  bool ReadRequest(std::string& buffer, EvilRequest& request) const;
};

bool EvilRegistry::Stream::ReadRequest(std::string& buffer, EvilRequest& request) const {
  size_t end;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    char chunk[4096];
    const ssize_t n = Receive(chunk, sizeof(chunk));
    if (n <= 0) return false;
    buffer.append(chunk, static_cast<size_t>(n));
  }
  const std::vector<std::string> lines = absl::StrSplit(buffer.substr(0, end), "\r\n");
  buffer.erase(0, end + 4);
  const std::vector<std::string> words = absl::StrSplit(lines[0], ' ');
  request = {};
  request.method = words.at(0);
  request.target = words.at(1);
  request.path = request.target.substr(0, request.target.find('?'));
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::pair<std::string, std::string> header =
        absl::StrSplit(lines[i], absl::MaxSplits(": ", 1));
    request.headers[absl::AsciiStrToLower(header.first)] = header.second;
  }
  size_t length = 0;
  if (request.headers.contains("content-length")) {
    (void)absl::SimpleAtoi(request.headers["content-length"], &length);
  }
  while (buffer.size() < length) {
    char chunk[4096];
    const ssize_t n = Receive(chunk, sizeof(chunk));
    if (n <= 0) return false;
    buffer.append(chunk, static_cast<size_t>(n));
  }
  if (tls != nullptr) request.certificate = ClientName(*tls);
  request.body = buffer.substr(0, length);
  buffer.erase(0, length);
  return true;
}

EvilRegistry::EvilRegistry(int port) { Listen(port); }

EvilRegistry::EvilRegistry(const TlsIdentity& identity, const std::vector<std::string>& accepted)
    : tls_(MakeTlsContext(identity, accepted)) {
  // OpenSSL, in this process also libcurl's, writes without MSG_NOSIGNAL; crispd ignores it, too.
  signal(SIGPIPE, SIG_IGN);
  Listen(0);
}

void EvilRegistry::Listen(int port) {
  listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const int reuse = 1;  // after a run that has just ended
  setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
  socklen_t size = sizeof(address);
  if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_.get(), 64) != 0 ||
      getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

EvilRegistry::~EvilRegistry() {
  stopping_ = true;
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    absl::MutexLock lock(&mu_);
    for (const Connection& connection : connections_) {
      if (connection.fd >= 0) shutdown(connection.fd, SHUT_RDWR);
    }
  }
  for (Connection& connection : connections_) connection.thread.join();
}

std::string EvilRegistry::host() const { return absl::StrCat("127.0.0.1:", port_); }

void EvilRegistry::Serve(const std::string& path, EvilReply reply) {
  Serve(path, [reply = std::move(reply)](const EvilRequest&) { return reply; });
}

void EvilRegistry::Serve(const std::string& path, Handler handler) {
  absl::MutexLock lock(&mu_);
  handlers_[path] = std::move(handler);
}

void EvilRegistry::Guard(Handler guard) {
  absl::MutexLock lock(&mu_);
  guard_ = std::move(guard);
}

void EvilRegistry::Clear() {
  absl::MutexLock lock(&mu_);
  handlers_.clear();
  guard_ = nullptr;
  requests_.clear();
}

std::vector<EvilRequest> EvilRegistry::requests() const {
  absl::MutexLock lock(&mu_);
  return requests_;
}

size_t EvilRegistry::Count(const std::string& method, const std::string& path) const {
  const std::vector<EvilRequest> all = requests();
  return static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const EvilRequest& request) {
    return request.method == method && request.path == path;
  }));
}

bool EvilRegistry::AwaitIdle(absl::Duration patience) const {
  const auto idle = [this] { return answering_ == 0; };
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&idle), patience);
}

void EvilRegistry::Accept() {
  while (!stopping_) {
    const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    absl::MutexLock lock(&mu_);
    Connection& connection = connections_.emplace_back();
    connection.fd = fd;
    connection.thread = std::thread([this, &connection, fd] { Talk(connection, fd); });
  }
}

void EvilRegistry::Talk(Connection& connection, int fd) {
  constexpr char kTlsHandshake = 0x16;
  char first = 0;
  const bool by_tls = recv(fd, &first, 1, MSG_PEEK) == 1 && first == kTlsHandshake;
  const bool understood = by_tls == (tls_ != nullptr);
  if (!understood) Misunderstand(fd, by_tls);
  const UniqueTlsSession session = understood && by_tls ? AcceptTls(*tls_, fd) : nullptr;
  const Stream stream = {fd, session.get()};
  std::string buffer;
  EvilRequest request;
  while (understood && (!by_tls || session != nullptr) && stream.ReadRequest(buffer, request)) {
    EvilReply reply = Answer(request);
    if (reply.before_reply) reply.before_reply();
    const bool goes_on = Send(stream, request, std::move(reply));
    absl::MutexLock lock(&mu_);
    --answering_;
    if (!goes_on) break;
  }
  absl::MutexLock lock(&mu_);
  connection.fd = -1;
  close(fd);
}

void EvilRegistry::Misunderstand(int fd, bool by_tls) {
  if (by_tls) ++tls_attempts_;
  if (by_tls || !answers_plain_http_) return;
  const Stream stream = {fd, nullptr};
  std::string buffer;
  EvilRequest request;
  if (!stream.ReadRequest(buffer, request)) return;
  stream.WriteAll("HTTP/1.0 400 Bad Request\r\n\r\nan HTTP request to an HTTPS server\n");
}

EvilReply EvilRegistry::Answer(const EvilRequest& request) {
  Handler guard;
  Handler handler;
  {
    absl::MutexLock lock(&mu_);
    requests_.push_back(request);
    ++answering_;
    guard = guard_;
    const auto found = handlers_.find(request.path);
    if (found != handlers_.end()) handler = found->second;
  }
  if (guard) {
    EvilReply reply = guard(request);
    if (reply.status != 0) return reply;
  }
  if (handler) return handler(request);
  EvilReply missing;
  missing.status = 404;
  missing.body = R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})";
  return missing;
}

// False at the end of the connection.
bool EvilRegistry::Send(const Stream& stream, const EvilRequest& request, EvilReply reply) {
  if (reply.silent) return false;
  const auto range = request.headers.find("range");
  if (range != request.headers.end() && reply.status == 200 && !reply.ignore_range) {
    size_t begin = 0;
    const absl::string_view text = range->second;
    (void)absl::SimpleAtoi(text.substr(6, text.size() - 7), &begin);  // "bytes=N-"
    const size_t total = reply.body.size();
    reply.status = 206;
    reply.headers.push_back(
        absl::StrCat("Content-Range: bytes ", begin, "-", total - 1, "/", total));
    reply.body.erase(0, begin);
  }
  std::string head = absl::StrCat("HTTP/1.1 ", reply.status, " Whatever\r\n");
  for (const std::string& header : reply.headers) absl::StrAppend(&head, header, "\r\n");
  const int64_t length =
      reply.content_length >= 0 ? reply.content_length : static_cast<int64_t>(reply.body.size());
  absl::StrAppend(
      &head,
      reply.chunked ? "Transfer-Encoding: chunked" : absl::StrCat("Content-Length: ", length),
      "\r\n\r\n");
  if (!stream.WriteAll(head)) return false;
  if (request.method == "HEAD") return true;
  const size_t whole = reply.body.size();
  const size_t some = std::min({whole, reply.reset_after, reply.stall_after});
  do {
    if (reply.chunked && !stream.WriteAll(absl::StrCat(absl::Hex(some), "\r\n"))) return false;
    for (size_t i = 0; reply.drip && i < some; ++i) {
      if (stopping_ || !stream.WriteAll(absl::string_view(reply.body).substr(i, 1))) return false;
      pollfd gone{stream.fd, POLLIN, 0};
      if (poll(&gone, 1, 5) != 0) return false;  // waits 5 ms, or the client has closed
    }
    const absl::string_view text = absl::string_view(reply.body).substr(0, reply.drip ? 0 : some);
    const size_t half = reply.halfway ? text.size() / 2 : 0;
    if (!stream.WriteAll(text.substr(0, half))) return false;
    if (reply.halfway) reply.halfway();
    if (!stream.WriteAll(text.substr(half))) return false;
    if (reply.chunked && !stream.WriteAll("\r\n")) return false;
  } while (reply.endless && !stopping_);
  if (reply.stall_after <= whole) {
    stream.AwaitHangup();
    return false;
  }
  if (reply.reset_after <= whole) {
    ResetOnClose(stream.fd);
    return false;
  }
  if (reply.chunked && !stream.WriteAll("0\r\n\r\n")) return false;
  return length == static_cast<int64_t>(whole) || reply.chunked;
}

}  // namespace crisp::image
