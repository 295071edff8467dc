// Ports of the host that lead to ports of pods, by nftables. Packets see what the rules of the
// plugin portmap do. Maps have an element for each port, so that a packet takes no longer the more
// pods there are:
//
//   table ip crisp-ports {                                    (and ip6)
//     map every { type inet_proto . inet_service : ipv4_addr . inet_service
//                 elements = { tcp . 8080 comment "<container id>" : 10.1.0.5 . 80 } }
//     map every-sources { type inet_proto . inet_service : verdict         (of pods with snat)
//                 elements = { tcp . 8080 comment "<container id>" : jump network-10.1.0.0-16 } }
//     map one, map one-sources: the same for ports of one address of the host, which comes first
//     chain prerouting { type nat hook prerouting priority dstnat + 1
//                        fib daddr type local jump ports }
//     chain output: the same for what the host itself sends
//     chain ports { ip daddr . meta l4proto . th dport vmap @one-sources
//                   dnat to ip daddr . meta l4proto . th dport map @one
//                   and so with every-sources and every, without daddr }
//     chain network-10.1.0.0-16 { ip saddr 10.1.0.0/16 meta mark set meta mark or 0x2000
//                                 ip saddr 127.0.0.1 meta mark set meta mark or 0x2000 }
//     chain postrouting { type nat hook postrouting priority srcnat - 1
//                         meta mark and 0x2000 != 0 masquerade }
//   }
//
// The priorities: after the rules of kube-proxy and of executed plugins, which are at dstnat, and
// before rules that exempt the pod's network from masquerading. The last two chains come with the
// first pod that has snat. The mark is the plugin's, too.
//
// A table is made with its first element and removed some time after its last. Thread-safe, also
// beside another crispd: each change is one transaction of the kernel for both families, and is
// made only if nothing has changed since what it builds on was read.
// Source: <linux/netfilter/nf_tables.h>; containernetworking/plugins 1.1.1, plugins/meta/portmap.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "cni/native/conf.h"
#include "cni/native/netlink.h"
#include "cni/native/nft.h"
#include "cni/native/shared_netlink.h"

namespace crisp::cni::native {

// Of the network namespace of the thread that uses it first.
class HostPorts {
 public:
  // Adds the ports that lead to the pod's addresses, all or none. False when it is not for the
  // engine, and nothing was made: another pod has one of them, or the kernel lacks an expression.
  absl::StatusOr<bool> Add(const PortmapConf& conf, const std::string& container_id,
                           base::Deadline deadline);

  // Removes all that was added for this container; false when there is nothing.
  absl::StatusOr<bool> Remove(const std::string& container_id, base::Deadline deadline);

  // Whether there are ports of any pod, or were a moment ago.
  absl::StatusOr<bool> HasTables(base::Deadline deadline);

  // Removes the tables that have no element. Best effort: without one they do nothing.
  void RemoveUnusedTables(base::Deadline deadline);

 private:
  // Kept open: to close a socket of netfilter is to wait for RCU after something was removed.
  SharedNetlink netlink_{NETLINK_NETFILTER};
};

// What there is of a family.
struct PortTable {
  bool there = false;
  std::set<std::string> chains;  // of those that the pod needs beside the table's own
  std::vector<nft::Element> elements;
};
struct PortTables {
  PortTable v4;
  PortTable v6;
};

// The changes that add a pod's ports; nullopt when another pod has one of them. For tests, as are
// those that remove them.
std::optional<std::vector<Message>> AddPorts(const PortmapConf& conf,
                                             const std::string& container_id,
                                             const PortTables& present);
std::vector<Message> RemovePorts(const std::string& container_id, const PortTables& present,
                                 bool with_chains = true);

}  // namespace crisp::cni::native
