// For the tests that look whether a pod is reached: TCP over IPv4 between network namespaces.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "cni/netns.h"

namespace crisp::cni {

inline sockaddr_in Address(const std::string& ip, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  return address;
}

// A socket in the namespace; -1 means that of the calling thread, which is the test's host.
inline absl::StatusOr<base::UniqueFd> SocketIn(int netns) {
  base::UniqueFd fd;
  const auto open = [&fd]() -> absl::Status {
    fd.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return fd.valid() ? absl::OkStatus() : base::Errno("socket", "");
  };
  CRISP_RETURN_IF_ERROR(netns < 0 ? open() : RunInNetns(netns, open));
  // Also a limit for connect(2): dropped packets must not block the test for minutes.
  const timeval limit = {2, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return fd;
}

// A socket that listens at every address of the namespace.
inline absl::StatusOr<base::UniqueFd> ServerIn(int netns, uint16_t port) {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd server, SocketIn(netns));
  const sockaddr_in any = Address("0.0.0.0", port);
  if (bind(server.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0) {
    return base::Errno("bind", "port");
  }
  if (listen(server.get(), 16) != 0) return base::Errno("listen", "port");
  return server;
}

}  // namespace crisp::cni
