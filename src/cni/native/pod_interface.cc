#include "cni/native/pod_interface.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cni/native/netlink.h"
#include "cni/native/sysctl.h"
#include "cni/netns.h"

namespace crisp::cni::native {
namespace {

constexpr char kLoopback[] = "lo";
constexpr absl::Duration kSettleTime = absl::Seconds(10);
constexpr absl::Duration kLookAgain = absl::Milliseconds(50);

// A host may have switched IPv6 off for new namespaces.
absl::Status EnableIpv6(const std::string& name) {
  for (const std::string& link : {std::string(kLoopback), name}) {
    const std::string path = SysctlPath("ipv6", link, "disable_ipv6");
    const absl::StatusOr<std::string> value = base::ReadFile(path);
    if (absl::IsResourceExhausted(value.status())) return value.status();
    if (!value.ok() || absl::StripAsciiWhitespace(*value) == "0") continue;
    CRISP_RETURN_IF_ERROR(base::WriteExisting(path, "0"));
  }
  return absl::OkStatus();
}

// Without a host that has the same address nobody answers the kernel's question for one
// (duplicate address detection), which would make the pod wait a second. arp_notify tells the
// neighbours that the address has moved here.
absl::Status SetAddressSettings(const std::string& name) {
  CRISP_RETURN_IF_ERROR(SetIfThere(SysctlPath("ipv6", name, "accept_dad"), "0"));
  return SetIfThere(SysctlPath("ipv4", name, "arp_notify"), "1");
}

absl::Status Settle(Links& links, Netlink& news, const Link& link, base::Deadline deadline) {
  const base::Deadline until = std::min(deadline, base::Deadline::In(kSettleTime));
  while (true) {
    CRISP_ASSIGN_OR_RETURN(const std::vector<LinkAddress> addresses, links.Addresses(link));
    if (std::none_of(addresses.begin(), addresses.end(), [](const LinkAddress& address) {
          return (address.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0;
        })) {
      return absl::OkStatus();
    }
    if (until.Passed()) {
      return absl::DeadlineExceededError(
          absl::StrCat("link ", link.name, " still has tentative addresses"));
    }
    CRISP_RETURN_IF_ERROR(news.AwaitNews(std::min(kLookAgain, until.Left())));
  }
}

// A route without a gateway goes through the first one of its family.
Route WithGateway(Route route, const std::vector<Lease>& leases) {
  const auto lease = std::find_if(leases.begin(), leases.end(), [&](const Lease& one) {
    return one.gateway.v6 == route.destination.address.v6;
  });
  if (!route.gateway.has_value() && lease != leases.end()) route.gateway = lease->gateway;
  return route;
}

// In the pod's namespace.
absl::Status Furnish(const std::string& name, const std::vector<Lease>& leases,
                     const std::vector<Route>& routes, base::Deadline deadline, Link& link) {
  CRISP_RETURN_IF_ERROR(SetAddressSettings(name));
  CRISP_ASSIGN_OR_RETURN(Links links, Links::Open(deadline));
  CRISP_ASSIGN_OR_RETURN(Netlink news, Netlink::Open(NETLINK_ROUTE, deadline, RTMGRP_IPV6_IFADDR));
  CRISP_ASSIGN_OR_RETURN(link, links.Find(name));
  const bool ipv6 = std::any_of(leases.begin(), leases.end(),
                                [](const Lease& lease) { return lease.address.address.v6; });
  if (ipv6) CRISP_RETURN_IF_ERROR(EnableIpv6(name));
  for (const Lease& lease : leases) {
    CRISP_RETURN_IF_ERROR(links.AddAddress(link, lease.address));
  }
  base::Failpoint("cni pod: addressed");
  CRISP_RETURN_IF_ERROR(links.SetFlags(link, IFF_UP, IFF_UP));
  if (ipv6) CRISP_RETURN_IF_ERROR(Settle(links, news, link, deadline));
  for (const Route& route : routes) {
    CRISP_RETURN_IF_ERROR(links.AddRoute(link, WithGateway(route, leases)));
  }
  return absl::OkStatus();
}

// Runs `work` with the link of that name in the namespace; OK without the link.
absl::Status WithLink(int netns, const std::string& name, base::Deadline deadline,
                      const std::function<absl::Status(Links&, const Link&)>& work) {
  return RunInNetns(netns, [&]() -> absl::Status {
    CRISP_ASSIGN_OR_RETURN(Links links, Links::Open(deadline));
    const absl::StatusOr<Link> link = links.Find(name);
    if (absl::IsNotFound(link.status())) return absl::OkStatus();
    CRISP_RETURN_IF_ERROR(link.status());
    return work(links, *link);
  });
}

}  // namespace

absl::StatusOr<Link> SetUpInterface(int netns, const std::string& name,
                                    const std::vector<Lease>& leases,
                                    const std::vector<Route>& routes, base::Deadline deadline) {
  Link link;
  CRISP_RETURN_IF_ERROR(
      RunInNetns(netns, [&] { return Furnish(name, leases, routes, deadline, link); }));
  return link;
}

absl::Status TakeAddresses(int netns, const std::string& name, const std::vector<Prefix>& addresses,
                           base::Deadline deadline) {
  return WithLink(netns, name, deadline, [&](Links& links, const Link& link) -> absl::Status {
    for (const Prefix& address : addresses) {
      CRISP_RETURN_IF_ERROR(links.RemoveAddress(link, address));
    }
    return absl::OkStatus();
  });
}

absl::Status DeleteInterface(int netns, const std::string& name, base::Deadline deadline) {
  return WithLink(netns, name, deadline,
                  [](Links& links, const Link& link) { return links.Delete(link); });
}

absl::StatusOr<std::vector<Prefix>> SetLoopback(int netns, base::Deadline deadline) {
  std::vector<Prefix> found;
  const auto set_up = [&](Links& links, const Link& link) -> absl::Status {
    if ((link.flags & IFF_UP) == 0) {
      CRISP_RETURN_IF_ERROR(links.SetFlags(link, IFF_UP, IFF_UP));
    }
    CRISP_ASSIGN_OR_RETURN(const std::vector<LinkAddress> addresses, links.Addresses(link));
    for (const bool v6 : {false, true}) {
      const auto first = std::find_if(addresses.begin(), addresses.end(),
                                      [&](const auto& one) { return one.prefix.address.v6 == v6; });
      if (first != addresses.end()) found.push_back(first->prefix);
    }
    return absl::OkStatus();
  };
  CRISP_RETURN_IF_ERROR(WithLink(netns, kLoopback, deadline, set_up));
  return found;
}

absl::Status SetLoopbackDown(int netns, base::Deadline deadline) {
  return WithLink(netns, kLoopback, deadline,
                  [](Links& links, const Link& link) { return links.SetFlags(link, IFF_UP, 0); });
}

}  // namespace crisp::cni::native
