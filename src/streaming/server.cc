#include "streaming/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "streaming/http_connection.h"
#include "streaming/loop.h"
#include "streaming/router.h"
#include "streaming/token_store.h"

namespace crisp::streaming {
namespace {

constexpr int kWorkers = 8;
constexpr absl::Duration kCheckInterval = absl::Seconds(5);
// How long Stop() waits for clients to read that the server stops.
constexpr absl::Duration kStopNotice = absl::Seconds(1);
constexpr absl::Duration kAcceptRetry = absl::Milliseconds(100);

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

bool IsLoopback(const SocketAddress& address) {
  if (address.any.sa_family == AF_INET) return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
  return IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr);
}

absl::StatusOr<SocketAddress> ParseAddress(const std::string& text) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("streaming address \"", text, "\": must be <numeric address>:<port>"));
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) ||
      port > UINT16_MAX) {
    return bad;
  }
  std::string host = text.substr(0, colon);
  SocketAddress address = {};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET6, host.c_str(), &address.v6.sin6_addr) != 1) return bad;
  } else {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET, host.c_str(), &address.v4.sin_addr) != 1) return bad;
  }
  if (IsLoopback(address)) return address;
  return absl::InvalidArgumentError(
      absl::StrCat("streaming address \"", text,
                   "\": must be a loopback address, because the streams are not encrypted"));
}

absl::StatusOr<base::UniqueFd> Listen(const SocketAddress& address, const std::string& text) {
  base::UniqueFd fd(socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::Errno("socket", text);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd.get(), &address.any, sizeof(address)) != 0) return base::Errno("bind", text);
  if (listen(fd.get(), SOMAXCONN) != 0) return base::Errno("listen", text);
  return fd;
}

std::string UrlBase(int fd) {
  SocketAddress address = {};
  socklen_t size = sizeof(address);
  getsockname(fd, &address.any, &size);
  char host[INET6_ADDRSTRLEN];
  if (address.any.sa_family == AF_INET) {
    inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof(host));
    return absl::StrCat("http://", host, ":", ntohs(address.v4.sin_port));
  }
  inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof(host));
  return absl::StrCat("http://[", host, "]:", ntohs(address.v6.sin6_port));
}

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerOptions& options, StreamingRuntime* runtime, std::unique_ptr<Loop> loop,
       std::string url_base)
      : options_(options),
        runtime_(runtime),
        url_base_(std::move(url_base)),
        tokens_(options.max_tokens, options.token_lifetime),
        loop_(std::move(loop)),
        accept_retry_(loop_.get()),
        check_timer_(loop_.get()) {}

  void Serve(base::UniqueFd listener);
  absl::StatusOr<std::string> Url(Request request);
  void BeginStop();
  void Stop();
  size_t sessions() const;

 private:
  // A connection that has not presented a token yet; the ticket expires when it does or closes.
  struct Pending {
    std::weak_ptr<void> ticket;
    std::weak_ptr<Transport> transport;
  };

  void WaitForClient();
  void AcceptClient();
  void ServeClient(base::UniqueFd client);
  std::shared_ptr<void> NewTicket(size_t* count, size_t max);
  bool IsQuiet() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return sessions_ == 0 && pending_count_ == 0;
  }
  void Watch(const std::shared_ptr<Transport>& transport);
  void CheckTransports();
  void ForEachTransport(void (Transport::*call)());

  const ServerOptions options_;
  StreamingRuntime* const runtime_;
  const std::string url_base_;
  TokenStore tokens_;
  mutable absl::Mutex mutex_;
  size_t sessions_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t pending_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;

  std::unique_ptr<Loop> loop_;
  // The members below belong to the I/O thread.
  Timer accept_retry_;
  Timer check_timer_;
  std::unique_ptr<FdWatch> listener_;
  std::vector<std::weak_ptr<Transport>> transports_;
  std::vector<Pending> pending_;  // oldest first
};

void Server::Impl::Serve(base::UniqueFd listener) {
  loop_->Post([this, fd = listener.release()] {
    listener_ = std::make_unique<FdWatch>(loop_.get(), base::UniqueFd(fd));
    WaitForClient();
  });
}

void Server::Impl::WaitForClient() {
  listener_->WhenReadable([this] { AcceptClient(); });
}

// Accepts one connection per round of the loop, so that what earlier clients have sent is read
// before a newer connection can take their place.
void Server::Impl::AcceptClient() {
  base::UniqueFd fd(accept4(listener_->fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd.valid()) {
    ServeClient(std::move(fd));
  } else if (errno != EINTR && errno != ECONNABORTED && errno != EAGAIN) {
    // Out of descriptors or memory: the client waits in the listen queue until there are some.
    accept_retry_.Start(kAcceptRetry, [this] { WaitForClient(); });
    return;
  }
  WaitForClient();
}

// Every process on the node can connect. Connections without a token are limited on their own, so
// that they cannot use up the sessions of clients that have one.
void Server::Impl::ServeClient(base::UniqueFd client) {
  std::erase_if(pending_, [](const Pending& each) { return each.ticket.expired(); });
  if (pending_.size() >= options_.max_unauthenticated) {
    if (auto oldest = pending_.front().transport.lock()) oldest->Abort();
    pending_.erase(pending_.begin());
  }
  auto context = std::make_shared<HttpContext>();
  context->loop = loop_.get();
  context->head_timeout = options_.head_timeout;
  context->route = [this](const HttpHead& head) {
    const auto new_context = [this] {
      return SessionContext{.loop = loop_.get(),
                            .runtime = runtime_,
                            .creation_timeout = options_.creation_timeout,
                            .start_timeout = options_.start_timeout,
                            .connect_timeout = options_.connect_timeout,
                            .ticket = NewTicket(&sessions_, options_.max_sessions)};
    };
    return RouteRequest(head, new_context, &tokens_);
  };
  context->watch = [this](const std::shared_ptr<Transport>& transport) { Watch(transport); };
  context->ticket = NewTicket(&pending_count_, SIZE_MAX);
  if (!context->ticket) return;  // stopped
  const std::weak_ptr<void> ticket = context->ticket;
  pending_.push_back({ticket, ServeHttp(std::move(context), std::move(client))});
}

// Counts one more until the last copy of the ticket is gone; null when `max` is reached.
std::shared_ptr<void> Server::Impl::NewTicket(size_t* count, size_t max) {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || *count >= max) return nullptr;
  ++*count;
  return std::shared_ptr<void>(this, [this, count](void*) {
    absl::MutexLock release(&mutex_);
    --*count;
  });
}

void Server::Impl::Watch(const std::shared_ptr<Transport>& transport) {
  if (transports_.empty()) {
    check_timer_.Start(std::min(kCheckInterval, options_.idle_timeout / 4),
                       [this] { CheckTransports(); });
  }
  transports_.push_back(transport);
}

void Server::Impl::CheckTransports() {
  std::vector<std::weak_ptr<Transport>> transports = std::move(transports_);
  transports_.clear();
  for (const std::weak_ptr<Transport>& weak : transports) {
    const std::shared_ptr<Transport> transport = weak.lock();
    if (!transport) continue;
    transport->Check(options_.idle_timeout);
    Watch(transport);
  }
}

void Server::Impl::ForEachTransport(void (Transport::*call)()) {
  for (const std::weak_ptr<Transport>& weak : transports_) {
    if (const std::shared_ptr<Transport> transport = weak.lock()) ((*transport).*call)();
  }
}

absl::StatusOr<std::string> Server::Impl::Url(Request request) {
  CRISP_RETURN_IF_ERROR(Validate(request));
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return absl::UnavailableError("streaming server is stopped");
  }
  const std::string path = absl::StrCat("/", PathOf(request), "/");
  CRISP_ASSIGN_OR_RETURN(const std::string token, tokens_.Add(std::move(request)));
  return absl::StrCat(url_base_, path, token);
}

void Server::Impl::BeginStop() {
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    stopped_ = true;
  }
  loop_->Post([this] {
    accept_retry_.Cancel();
    check_timer_.Cancel();
    listener_.reset();
    ForEachTransport(&Transport::Stop);
    check_timer_.Start(kStopNotice, [this] { ForEachTransport(&Transport::Abort); });
  });
}

void Server::Impl::Stop() {
  BeginStop();
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Impl::IsQuiet));
  }
  loop_->Stop();
}

size_t Server::Impl::sessions() const {
  absl::MutexLock lock(&mutex_);
  return sessions_;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      StreamingRuntime* runtime) {
  CRISP_ASSIGN_OR_RETURN(const SocketAddress address, ParseAddress(options.address));
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd listener, Listen(address, options.address));
  CRISP_ASSIGN_OR_RETURN(std::unique_ptr<Loop> loop, Loop::Start(kWorkers));
  auto impl = std::make_unique<Impl>(options, runtime, std::move(loop), UrlBase(listener.get()));
  impl->Serve(std::move(listener));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Stop(); }

absl::StatusOr<std::string> Server::Url(Request request) { return impl_->Url(std::move(request)); }

void Server::BeginStop() { impl_->BeginStop(); }

void Server::Stop() { impl_->Stop(); }

size_t Server::sessions() const { return impl_->sessions(); }

}  // namespace crisp::streaming
