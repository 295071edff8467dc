// Link-local addresses, where cloud metadata services are: only the configuration of the node may
// send requests to them, never a registry. Pure, thread-safe.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace crisp::image {

inline bool IsLinkLocal(const in_addr& address) { return (ntohl(address.s_addr) >> 16) == 0xa9fe; }

inline bool IsLinkLocal(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    in_addr mapped;
    memcpy(&mapped, &address.s6_addr[12], sizeof(mapped));
    return IsLinkLocal(mapped);
  }
  return IN6_IS_ADDR_LINKLOCAL(&address);
}

inline bool IsLinkLocal(const sockaddr* address) {
  // Copied: the caller's memory may be aligned only for sockaddr.
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    memcpy(&v4, address, sizeof(v4));
    return IsLinkLocal(v4.sin_addr);
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    memcpy(&v6, address, sizeof(v6));
    return IsLinkLocal(v6.sin6_addr);
  }
  return false;
}

}  // namespace crisp::image
