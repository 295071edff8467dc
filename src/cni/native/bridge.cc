#include "cni/native/bridge.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/native/links.h"
#include "cni/native/pod_interface.h"
#include "cni/native/result.h"
#include "cni/native/sysctl.h"
#include "cni/netns.h"

namespace crisp::cni::native {
namespace {

constexpr int kNameTries = 10;
constexpr absl::Duration kPortTime = absl::Milliseconds(2550);  // as the plugin waits
constexpr absl::Duration kUndoTime = absl::Seconds(10);

// crispd owns the routes of the host's links: what a pod advertises must not become one.
absl::Status RefuseAdvertisements(const std::string& link) {
  return SetIfThere(SysctlPath("ipv6", link, "accept_ra"), "0");
}

absl::StatusOr<Link> EnsureBridge(Links& links, const BridgeConf& conf) {
  absl::StatusOr<Link> bridge = links.Find(conf.bridge);
  if (absl::IsNotFound(bridge.status())) {
    const absl::Status added = links.AddBridge(conf.bridge, conf.mtu);
    if (!added.ok() && !absl::IsAlreadyExists(added)) return added;
    bridge = links.Find(conf.bridge);
  }
  CRISP_RETURN_IF_ERROR(bridge.status());
  if (bridge->kind != "bridge" || !bridge->mac.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("\"", conf.bridge, "\" already exists but is not a bridge"));
  }
  CRISP_RETURN_IF_ERROR(RefuseAdvertisements(conf.bridge));
  const uint32_t wanted =
      static_cast<uint32_t>(IFF_UP) | (conf.promiscuous ? static_cast<uint32_t>(IFF_PROMISC) : 0);
  if ((bridge->flags & wanted) != wanted) {
    CRISP_RETURN_IF_ERROR(links.SetFlags(*bridge, wanted, wanted));
  }
  return bridge;
}

// Answers the name of the end on the host.
absl::StatusOr<std::string> AddPair(Links& links, const BridgeConf& conf, uint32_t bridge,
                                    int netns, const std::string& pod_name) {
  for (int i = 0; i < kNameTries; ++i) {
    CRISP_ASSIGN_OR_RETURN(const std::string name, RandomVethName());
    const absl::Status added = links.AddVeth({.host_name = name,
                                              .bridge = bridge,
                                              .pod_name = pod_name,
                                              .pod_netns = netns,
                                              .mtu = conf.mtu,
                                              .pod_mac = conf.mac});
    if (added.ok()) return name;
    if (!absl::IsAlreadyExists(added)) return added;
    const absl::Status found = links.Find(name).status();
    if (absl::IsNotFound(found)) {
      return absl::AlreadyExistsError(
          absl::StrCat("container veth name provided (", pod_name, ") already exists"));
    }
    CRISP_RETURN_IF_ERROR(found);
  }
  return absl::InternalError("failed to find a unique veth name");
}

// The bridge forwards nothing to a port until the kernel has noticed that the pod's end is up.
absl::Status AwaitPort(Links& links, Netlink& news, const std::string& name,
                       base::Deadline deadline) {
  const base::Deadline until = std::min(deadline, base::Deadline::In(kPortTime));
  while (true) {
    CRISP_ASSIGN_OR_RETURN(const Link port, links.Find(name));
    if (port.running) return absl::OkStatus();
    if (until.Passed()) return absl::UnavailableError("bridge port in error state: not up");
    CRISP_RETURN_IF_ERROR(news.AwaitNews(until.Left()));
  }
}

// Of IPv4 a bridge has one address, of IPv6 one for each network that the others do not overlap.
absl::Status EnsureAddress(Links& links, const Link& bridge, const Prefix& wanted, bool force) {
  CRISP_ASSIGN_OR_RETURN(const std::vector<LinkAddress> present, links.Addresses(bridge));
  for (const LinkAddress& one : present) {
    if (one.prefix == wanted) return absl::OkStatus();
    if (one.prefix.address.v6 != wanted.address.v6) continue;
    if (wanted.address.v6 && !Contains(one.prefix, wanted.address) &&
        !Contains(wanted, one.prefix.address)) {
      continue;
    }
    if (!force) {
      return absl::FailedPreconditionError(
          absl::StrCat("failed to set bridge addr: \"", bridge.name,
                       "\" already has an IP address different from ", ToString(wanted)));
    }
    CRISP_RETURN_IF_ERROR(links.RemoveAddress(bridge, one.prefix));
  }
  // Otherwise its address would be the lowest of its ports', and change as pods come and go. Before
  // the other one, which tells the next ADD that this is done.
  CRISP_RETURN_IF_ERROR(links.SetMac(bridge, *bridge.mac));
  const absl::Status added = links.AddAddress(bridge, wanted);
  return absl::IsAlreadyExists(added) ? absl::OkStatus() : added;
}

absl::Status EnableForwarding(const char* path) {
  const absl::StatusOr<std::string> value = base::ReadFile(path);
  if (value.ok() && absl::StripAsciiWhitespace(*value) == "1") return absl::OkStatus();
  return base::Prefix(base::WriteExisting(path, "1"), "failed to enable forwarding");
}

absl::Status MakeGateway(Links& links, const Link& bridge, const std::vector<Lease>& leases,
                         bool force) {
  for (const bool v6 : {false, true}) {
    bool any = false;
    for (const Lease& lease : leases) {
      if (lease.address.address.v6 != v6) continue;
      any = true;
      CRISP_RETURN_IF_ERROR(
          EnsureAddress(links, bridge, {lease.gateway, lease.address.length}, force));
    }
    if (!any) continue;
    CRISP_RETURN_IF_ERROR(EnableForwarding(v6 ? "/proc/sys/net/ipv6/conf/all/forwarding"
                                              : "/proc/sys/net/ipv4/ip_forward"));
  }
  return absl::OkStatus();
}

// Those of the configuration, and the gateway's for each family that has none with a gateway.
std::vector<Route> RoutesOf(const BridgeConf& conf, const std::vector<Lease>& leases) {
  std::vector<Route> routes = conf.ipam.routes;
  if (!conf.is_default_gateway) return routes;
  for (const Lease& lease : leases) {
    const Prefix everywhere = {{.v6 = lease.address.address.v6}, 0};
    if (std::none_of(routes.begin(), routes.end(), [&](const Route& route) {
          return route.gateway.has_value() && route.destination == everywhere;
        })) {
      routes.push_back({everywhere, lease.gateway});
    }
  }
  return routes;
}

// One ADD. Undoes what it has made unless it ends well.
class Addition {
 public:
  Addition(Masquerading& masquerading, const BridgeConf& conf, const BridgePod& pod,
           base::Deadline deadline)
      : masquerading_(masquerading), conf_(conf), pod_(pod), deadline_(deadline) {}
  ~Addition() {
    if (done_) return;
    const absl::Status undone = Undo();
    if (undone.ok()) return;
    base::Log(base::LogLevel::kWarning, "what a failed CNI ADD has made may stay",
              {{"sandbox", pod_.owner.container_id}, {"error", std::string(undone.message())}});
  }
  Addition(const Addition&) = delete;
  Addition& operator=(const Addition&) = delete;

  // Says whether it came to the masquerading.
  absl::StatusOr<std::string> Run(bool& masqueraded);

 private:
  absl::Status Masquerade();
  absl::Status Connect(Links& links, int netns);
  absl::Status Undo();

  Masquerading& masquerading_;
  const BridgeConf& conf_;
  const BridgePod& pod_;
  const base::Deadline deadline_;
  BridgeResult result_;
  bool done_ = false;
};

// The masquerading comes before everything that a pod could use, and DEL knows by it that the
// engine made the rest.
absl::Status Addition::Masquerade() {
  for (const Lease& lease : result_.leases) {
    CRISP_RETURN_IF_ERROR(masquerading_.Add(lease.address, pod_.owner.container_id, deadline_));
  }
  return absl::OkStatus();
}

absl::Status Addition::Connect(Links& links, int netns) {
  CRISP_ASSIGN_OR_RETURN(result_.host.name,
                         AddPair(links, conf_, result_.bridge.index, netns, pod_.owner.interface));
  base::Failpoint("cni bridge: linked");
  CRISP_RETURN_IF_ERROR(RefuseAdvertisements(result_.host.name));
  CRISP_ASSIGN_OR_RETURN(result_.host, links.Find(result_.host.name));
  CRISP_ASSIGN_OR_RETURN(Netlink news, Netlink::Open(NETLINK_ROUTE, deadline_, RTMGRP_LINK));
  CRISP_RETURN_IF_ERROR(news.HearOnlyOf(result_.host.index));
  if (conf_.hairpin) CRISP_RETURN_IF_ERROR(links.SetHairpin(result_.host));
  result_.routes = RoutesOf(conf_, result_.leases);
  CRISP_ASSIGN_OR_RETURN(result_.pod, SetUpInterface(netns, pod_.owner.interface, result_.leases,
                                                     result_.routes, deadline_));
  base::Failpoint("cni bridge: pod set up");
  return AwaitPort(links, news, result_.host.name, deadline_);
}

absl::StatusOr<std::string> Addition::Run(bool& masqueraded) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, OpenNetns(pod_.netns));
  absl::StatusOr<std::vector<Lease>> leases = Reserve(conf_.ipam, pod_.owner, deadline_);
  if (!leases.ok()) return base::Prefix(leases.status(), "host-local");
  result_.leases = *std::move(leases);
  masqueraded = conf_.ip_masq;
  base::Failpoint("cni bridge: leased");
  if (masqueraded) CRISP_RETURN_IF_ERROR(Masquerade());
  base::Failpoint("cni bridge: masqueraded");
  CRISP_ASSIGN_OR_RETURN(Links links, Links::Open(deadline_));
  absl::StatusOr<Link> bridge = EnsureBridge(links, conf_);
  if (!bridge.ok()) return base::Prefix(bridge.status(), "failed to create bridge");
  result_.bridge = *std::move(bridge);
  CRISP_RETURN_IF_ERROR(Connect(links, netns.get()));
  if (conf_.is_gateway) {
    CRISP_RETURN_IF_ERROR(MakeGateway(links, result_.bridge, result_.leases, conf_.force_address));
  }
  // Its address may be that of its first port now.
  CRISP_ASSIGN_OR_RETURN(result_.bridge, links.Find(conf_.bridge));
  result_.netns = pod_.netns;
  result_.dns = conf_.dns;
  base::Failpoint("cni bridge: added");
  done_ = true;
  return EncodeBridgeResult(result_);
}

// Only what this ADD has made: the pod may have an interface and a lease from before, which are
// what made it fail.
absl::Status Addition::Undo() {
  const base::Deadline deadline = base::Deadline::In(kUndoTime);
  if (!result_.host.name.empty()) {
    CRISP_ASSIGN_OR_RETURN(Links links, Links::Open(deadline));
    const absl::StatusOr<Link> host = links.Find(result_.host.name);
    if (!absl::IsNotFound(host.status())) CRISP_RETURN_IF_ERROR(host.status());
    if (host.ok()) CRISP_RETURN_IF_ERROR(links.Delete(*host));
  }
  if (result_.leases.empty()) return absl::OkStatus();
  for (const Lease& lease : result_.leases) {
    if (!conf_.ip_masq) break;
    CRISP_RETURN_IF_ERROR(
        masquerading_.Remove(lease.address.address, pod_.owner.container_id, deadline));
  }
  return Release(conf_.ipam, pod_.owner, deadline);
}

// The result of ADD, or its leases when crispd ended before there was one.
absl::StatusOr<std::vector<Address>> AddressesOf(const BridgeConf& conf, const BridgePod& pod,
                                                 base::Deadline deadline) {
  if (conf.attached.addresses.empty()) return FindLeases(conf.ipam, pod.owner, deadline);
  std::vector<Address> addresses;
  for (const Prefix& prefix : conf.attached.addresses) addresses.push_back(prefix.address);
  return addresses;
}

absl::Status TakeAddressesOf(const BridgeConf& conf, const BridgePod& pod, int netns,
                             base::Deadline deadline) {
  const absl::Status taken =
      TakeAddresses(netns, pod.owner.interface, conf.attached.addresses, deadline);
  if (taken.ok() || absl::IsDeadlineExceeded(taken) || absl::IsResourceExhausted(taken)) {
    return taken;
  }
  // The namespace is the pod's: what it has done there must not keep its lease for ever.
  base::Log(base::LogLevel::kWarning, "a pod that goes may keep its addresses until it is gone",
            {{"sandbox", pod.owner.container_id}, {"error", std::string(taken.message())}});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> Bridge::Add(const BridgeConf& conf, const BridgePod& pod,
                                        base::Deadline deadline) {
  bool masqueraded = false;
  absl::StatusOr<std::string> result =
      Addition(masquerading_, conf, pod, deadline).Run(masqueraded);
  if (!result.ok() && masqueraded) RemoveUnusedTablesLater();
  return result;
}

void Bridge::CollectRemains() {
  DeleteLinksLater();
  RemoveUnusedTablesLater();
}

absl::StatusOr<bool> Bridge::Masquerades(const BridgeConf& conf, const BridgePod& pod,
                                         base::Deadline deadline) {
  if (!conf.ip_masq) return false;
  CRISP_ASSIGN_OR_RETURN(const std::vector<Address> addresses, AddressesOf(conf, pod, deadline));
  for (const Address& address : addresses) {
    CRISP_ASSIGN_OR_RETURN(const bool mine,
                           masquerading_.Has(address, pod.owner.container_id, deadline));
    if (mine) return true;
  }
  return false;
}

void Bridge::DeleteLinksLater() {
  collector_.Later(Collector::Job::kLinks, [] {
    absl::StatusOr<Links> links = Links::Open(base::Deadline::In(kUndoTime));
    const absl::Status status = links.ok() ? links->DeleteAbandoned() : links.status();
    if (status.ok()) return true;
    base::Log(base::LogLevel::kWarning, "links of pods that are gone stay for now",
              {{"error", std::string(status.message())}});
    return false;
  });
}

// Not now: to make a table anew for the next pod takes some waits for RCU.
void Bridge::RemoveUnusedTablesLater() {
  collector_.Later(Collector::Job::kTables, [this] {
    masquerading_.RemoveUnusedTables(base::Deadline::In(kUndoTime));
    return true;
  });
}

// The host's end only by the name that ADD has answered: what the pod's interface says of it is up
// to the pod. Without a namespace to be found it may still be there, if something holds that.
absl::Status Bridge::Disconnect(const BridgeConf& conf, const BridgePod& pod,
                                base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, FindNetns(pod.netns));
  if (conf.attached.host_link.empty()) {
    if (!netns.valid()) return absl::OkStatus();
    return DeleteInterface(netns.get(), pod.owner.interface, deadline);
  }
  if (netns.valid()) CRISP_RETURN_IF_ERROR(TakeAddressesOf(conf, pod, netns.get(), deadline));
  base::Failpoint("cni bridge: addresses taken");
  CRISP_ASSIGN_OR_RETURN(Links links, Links::Open(deadline));
  const absl::StatusOr<Link> host = links.Find(conf.attached.host_link);
  if (absl::IsNotFound(host.status())) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(host.status());
  if (host->kind != "veth") return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(links.Abandon(*host));
  base::Failpoint("cni bridge: link given up");
  // Whoever holds the namespace can give the interface the address again, which the next pod gets.
  // The last thing: any other change of the link makes the bridge look at the port anew.
  CRISP_RETURN_IF_ERROR(links.ClosePort(*host));
  base::Failpoint("cni bridge: port closed");
  DeleteLinksLater();
  return absl::OkStatus();
}

absl::Status Bridge::Delete(const BridgeConf& conf, const BridgePod& pod, base::Deadline deadline) {
  CRISP_RETURN_IF_ERROR(Disconnect(conf, pod, deadline));
  CRISP_ASSIGN_OR_RETURN(const std::vector<Address> addresses, AddressesOf(conf, pod, deadline));
  if (conf.ip_masq) {
    for (const Address& address : addresses) {
      CRISP_RETURN_IF_ERROR(masquerading_.Remove(address, pod.owner.container_id, deadline));
    }
    base::Failpoint("cni bridge: not masqueraded");
    RemoveUnusedTablesLater();
  }
  // Last: another pod may get the address from here on.
  return Release(conf.ipam, pod.owner, deadline, addresses);
}

}  // namespace crisp::cni::native
