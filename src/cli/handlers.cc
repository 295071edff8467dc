#include "cli/handlers.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/deadline.h"
#include "base/errno.h"
#include "base/printable.h"
#include "base/unique_fd.h"
#include "cli/http_get.h"
#include "client/health_client.h"

namespace crisp::cli {
namespace {

std::string HostOr(const std::string& host, const HandlerTarget& target) {
  return host.empty() ? target.ip : host;
}

// A port may be given as a number or by its name in the container.
std::string PortNumber(const std::string& port, const Container& container) {
  for (const ContainerPort& known : container.ports) {
    if (known.name == port) return absl::StrCat(known.container_port);
  }
  return port;
}

std::string UrlOf(const HttpGet& get, const HandlerTarget& target) {
  std::string host = HostOr(get.host, target);
  if (host.find(':') != host.npos) host = absl::StrCat("[", host, "]");  // an IPv6 address
  const bool has_slash = absl::StartsWith(get.path, "/");
  return absl::StrCat(get.is_https ? "https://" : "http://", host, ":",
                      PortNumber(get.port, *target.container), has_slash ? "" : "/", get.path);
}

// Waits until the connection of a non-blocking socket is there.
absl::Status AwaitConnection(int fd, base::Deadline deadline) {
  pollfd polled = {.fd = fd, .events = POLLOUT, .revents = 0};
  int result = 0;
  do {
    result = poll(&polled, 1, deadline.PollMillis());
  } while (result < 0 && errno == EINTR);
  if (result == 0) return absl::DeadlineExceededError("no connection in time");
  int error = 0;
  socklen_t size = sizeof(error);
  if (result < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    return base::Errno("connect", "");
  return error == 0 ? absl::OkStatus() : base::Errno("connect", "", error);
}

absl::Status Connect(const addrinfo& address, base::Deadline deadline) {
  const base::UniqueFd fd(socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return base::Errno("socket", "");
  if (connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return absl::OkStatus();
  if (errno != EINPROGRESS) return base::Errno("connect", "");
  return AwaitConnection(fd.get(), deadline);
}

absl::Status TcpProbe(const std::string& host, const std::string& port, absl::Duration timeout) {
  const base::Deadline deadline = base::Deadline::In(timeout);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string where = absl::StrCat(host, ":", port);
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    return absl::UnavailableError(absl::StrCat(where, ": ", gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  absl::Status result;
  // "localhost" may be ::1, too, where nobody listens.
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    result = base::Prefix(Connect(*one, deadline), where);
    if (result.ok()) break;
  }
  return result;
}

}  // namespace

absl::Duration RequestTime(absl::Duration timeout) {
  constexpr absl::Duration kLongest = absl::Seconds(30);
  return timeout == absl::InfiniteDuration() ? kLongest : timeout;
}

void HostHandlers::Interrupt() {
  const absl::MutexLock lock(&mu_);
  is_interrupted_ = true;
}

absl::Status HostHandlers::Sleep(absl::Duration span, absl::Duration timeout) {
  if (timeout != absl::InfiniteDuration()) {
    absl::SleepFor(std::min(span, timeout));
    return absl::OkStatus();
  }
  const absl::MutexLock lock(&mu_);
  if (!mu_.AwaitWithTimeout(absl::Condition(&is_interrupted_), span)) return absl::OkStatus();
  return absl::CancelledError("sleep: interrupted");
}

absl::Status HostHandlers::Run(const Handler& handler, const HandlerTarget& target, Purpose purpose,
                               absl::Duration timeout) {
  if (handler.exec.has_value()) {
    const absl::StatusOr<ExecResult> result =
        runtime_.ExecSync(target.container_id, *handler.exec, timeout);
    if (absl::IsDeadlineExceeded(result.status())) return result.status();
    if (!result.ok()) return absl::AbortedError(result.status().message());
    if (result->exit_code == 0) return absl::OkStatus();
    constexpr size_t kShown = 200;
    return absl::FailedPreconditionError(absl::StrCat("command ended with exit code ",
                                                      result->exit_code, ": ",
                                                      base::Printable(result->output, kShown)));
  }
  const absl::Duration limit = RequestTime(timeout);
  if (handler.http_get.has_value()) {
    const std::string url = UrlOf(*handler.http_get, target);
    const absl::StatusOr<long> code = HttpStatus(url, handler.http_get->headers, limit);
    if (!code.ok()) return code.status();
    if (purpose == Purpose::kHook || (*code >= 200 && *code < 400)) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(url, ": HTTP status ", *code));
  }
  if (handler.tcp_socket.has_value()) {
    return TcpProbe(HostOr(handler.tcp_socket->host, target),
                    PortNumber(handler.tcp_socket->port, *target.container), limit);
  }
  if (handler.grpc.has_value()) {
    const bool is_ipv6 = absl::StrContains(target.ip, ':');
    const std::string host = is_ipv6 ? absl::StrCat("[", target.ip, "]") : target.ip;
    return client::CheckHealth(absl::StrCat(host, ":", handler.grpc->port), handler.grpc->service,
                               limit);
  }
  return Sleep(absl::Seconds(handler.sleep.value_or(0)), timeout);
}

}  // namespace crisp::cli
