#include "cni/stand_in.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/thread.h"

namespace crisp::cni {
namespace {

template <typename T>
absl::string_view Bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string Attribute(unsigned short type, absl::string_view value) {
  const rtattr head = {.rta_len = static_cast<unsigned short>(RTA_LENGTH(value.size())),
                       .rta_type = type};
  std::string text = absl::StrCat(Bytes(head), value);
  text.resize(RTA_ALIGN(text.size()));
  return text;
}

// Has the kernel make something, and waits for its answer.
absl::Status Make(int netlink, uint16_t type, absl::string_view body, absl::string_view what) {
  const nlmsghdr head = {.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(body.size())),
                         .nlmsg_type = type,
                         .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                         .nlmsg_seq = 1,
                         .nlmsg_pid = 0};
  const std::string request = absl::StrCat(Bytes(head), body);
  if (send(netlink, request.data(), request.size(), 0) < 0) return base::Errno("make", what);
  struct {
    nlmsghdr head;
    nlmsgerr error;
  } answer = {};
  if (recv(netlink, &answer, sizeof(answer), MSG_TRUNC) < 0) return base::Errno("make", what);
  if (answer.head.nlmsg_type != NLMSG_ERROR) return base::Errno("make", what, EPROTO);
  return answer.error.error == 0 ? absl::OkStatus()
                                 : base::Errno("make", what, -answer.error.error);
}

absl::Status AddAddress(int netlink, unsigned index, const std::string& cidr) {
  const size_t slash = cidr.find('/');
  const std::string text = cidr.substr(0, slash);
  const bool v6 = absl::StrContains(text, ':');
  in6_addr address = {};  // or an in_addr
  ifaddrmsg head = {};
  head.ifa_family = v6 ? AF_INET6 : AF_INET;
  head.ifa_index = index;
  uint32_t prefix = v6 ? 128 : 32;
  const bool right =
      slash == std::string::npos ||
      (absl::SimpleAtoi(cidr.substr(slash + 1), &prefix) && prefix <= (v6 ? 128 : 32));
  if (!right || inet_pton(head.ifa_family, text.c_str(), &address) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("\"", cidr, "\": is not an address of a pod"));
  }
  head.ifa_prefixlen = static_cast<uint8_t>(prefix);
  const absl::string_view value = Bytes(address).substr(0, v6 ? sizeof(in6_addr) : sizeof(in_addr));
  return Make(netlink, RTM_NEWADDR,
              absl::StrCat(Bytes(head), Attribute(IFA_LOCAL, value), Attribute(IFA_ADDRESS, value)),
              cidr);
}

// In the namespace of the calling thread.
absl::Status Furnish(const std::string& interface, const std::vector<std::string>& cidrs) {
  const base::UniqueFd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink.valid()) return base::Errno("socket", "AF_NETLINK");
  // The other end is in the same namespace and goes with it.
  const std::string kind = Attribute(IFLA_INFO_KIND, "veth");
  CRISP_RETURN_IF_ERROR(
      Make(netlink.get(), RTM_NEWLINK,
           absl::StrCat(Bytes(ifinfomsg{}), Attribute(IFLA_IFNAME, interface + '\0'),
                        Attribute(IFLA_LINKINFO, kind)),
           interface));
  const unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) return base::Errno("find interface", interface);
  for (const std::string& cidr : cidrs)
    CRISP_RETURN_IF_ERROR(AddAddress(netlink.get(), index, cidr));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<base::UniqueFd> MakeStandIn(const std::string& interface,
                                           const std::vector<std::string>& cidrs) {
  absl::StatusOr<base::UniqueFd> netns = base::UniqueFd();
  // A new thread, because the change of namespace cannot be undone reliably.
  CRISP_ASSIGN_OR_RETURN(base::Thread thread, base::StartThread("stand-in", [&] {
                           if (unshare(CLONE_NEWNET) != 0) {
                             netns = base::Errno("unshare", "network namespace");
                             return;
                           }
                           netns = base::Open("/proc/thread-self/ns/net", O_RDONLY);
                           if (!netns.ok()) return;
                           const absl::Status status = Furnish(interface, cidrs);
                           if (!status.ok()) netns = status;
                         }));
  thread.Join();
  return netns;
}

}  // namespace crisp::cni
