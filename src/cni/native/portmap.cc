#include "cni/native/portmap.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>

#include <set>

#include "absl/strings/ascii.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/native/conntrack.h"
#include "cni/native/netlink.h"
#include "cni/native/sysctl.h"

namespace crisp::cni::native {
namespace {

constexpr absl::Duration kTidyTime = absl::Seconds(10);

// The name of the link that leads to the pod; empty when the host has none.
absl::StatusOr<std::string> LinkTo(const Address& pod, base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(Netlink netlink, Netlink::Open(NETLINK_ROUTE, deadline));
  Message find(RTM_GETROUTE, NLM_F_ACK);
  rtmsg route = {};
  route.rtm_family = AF_INET;
  route.rtm_dst_len = 32;
  find.Header(route).Put(RTA_DST, pod.data());
  uint32_t index = 0;
  const absl::Status found = netlink.Do(std::move(find), "find a route", [&](nlmsghdr* answer) {
    const nlattr* link = nlmsg_find_attr(answer, sizeof(rtmsg), RTA_OIF);
    if (link != nullptr && nla_len(link) == sizeof(index)) index = nla_get_u32(link);
  });
  if (absl::IsDeadlineExceeded(found) || absl::IsResourceExhausted(found)) return found;
  char name[IF_NAMESIZE];
  return std::string(found.ok() && if_indextoname(index, name) != nullptr ? name : "");
}

// So that what the host sends to its own 127.0.0.1 may leave it by the pod's link.
absl::Status RouteLocalnet(const Address& pod, base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const std::string link, LinkTo(pod, deadline));
  if (link.empty()) return absl::OkStatus();
  const std::string path = SysctlPath("ipv4", link, "route_localnet");
  const absl::StatusOr<std::string> value = base::ReadFile(path);
  if (value.ok() && absl::StripAsciiWhitespace(*value) == "1") return absl::OkStatus();
  return base::WriteExisting(path, "1");
}

// As for the plugin, the pod has its ports all the same when this fails.
void ForgetFlowsTo(const PortmapConf& conf, const std::string& container_id,
                   base::Deadline deadline) {
  std::set<uint16_t> ports;
  for (const HostPort& port : conf.ports) {
    if (port.protocol == IPPROTO_UDP) ports.insert(port.port);
  }
  if (ports.empty()) return;
  for (const Prefix& pod : conf.pod) {
    const absl::Status forgotten = ForgetFlows(ports, pod.address.v6, deadline);
    if (forgotten.ok()) continue;
    base::Log(base::LogLevel::kWarning, "old UDP flows to host ports of a pod may stay",
              {{"sandbox", container_id}, {"error", std::string(forgotten.message())}});
  }
}

}  // namespace

absl::StatusOr<bool> Portmap::Add(const PortmapConf& conf, const std::string& container_id,
                                  base::Deadline deadline) {
  for (const Prefix& pod : conf.pod) {
    if (!conf.snat || pod.address.v6) continue;
    CRISP_RETURN_IF_ERROR(
        base::Prefix(RouteLocalnet(pod.address, deadline), "unable to enable route_localnet"));
  }
  CRISP_ASSIGN_OR_RETURN(const bool added, ports_.Add(conf, container_id, deadline));
  // After the new rules, which the next packets are to follow.
  if (added) ForgetFlowsTo(conf, container_id, deadline);
  return added;
}

absl::StatusOr<bool> Portmap::Delete(const std::string& container_id, base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(const bool deleted, ports_.Remove(container_id, deadline));
  if (deleted) CollectRemains();
  return deleted;
}

// Not now: to make a table anew for the next pod takes some waits for RCU.
void Portmap::CollectRemains() {
  collector_.Later(Collector::Job::kTables, [this] {
    ports_.RemoveUnusedTables(base::Deadline::In(kTidyTime));
    return true;
  });
}

}  // namespace crisp::cni::native
