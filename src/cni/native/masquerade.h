// Masquerading of pods' packets, by nftables. Packets see what the plugin's rules of iptables do:
// what a pod sends to its own network or to a multicast group keeps its address, everything else
// leaves the host under the host's. One map per family has an element for each pod, so that
// neither a packet nor a change takes longer the more pods there are:
//
//   table ip crisp {                                     (and ip6)
//     map pods { type ipv4_addr : verdict
//                elements = { 10.1.0.5 comment "<container id>" : jump network-10.1.0.0-16 } }
//     chain postrouting { type nat hook postrouting priority srcnat
//                         ip saddr vmap @pods }
//     chain network-10.1.0.0-16 { ip daddr 10.1.0.0/16 accept
//                                 ip daddr != 224.0.0.0/4 masquerade }
//   }
//
// A table is made with its first element and removed some time after its last. Thread-safe, also
// beside another crispd: each change is one transaction of the kernel.
// Source: <linux/netfilter/nf_tables.h>; containernetworking/plugins 1.1.1, pkg/ip.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "cni/native/address.h"
#include "cni/native/netlink.h"
#include "cni/native/shared_netlink.h"

namespace crisp::cni::native {

// Of the network namespace of the thread that uses it first.
class Masquerading {
 public:
  // Replaces an element of the same address.
  absl::Status Add(const Prefix& address, const std::string& container_id, base::Deadline deadline);

  // Whether the address has an element that was added for this container.
  absl::StatusOr<bool> Has(const Address& address, const std::string& container_id,
                           base::Deadline deadline);

  // Whether there is a table, of either family.
  absl::StatusOr<bool> HasTables(base::Deadline deadline);

  // OK when there is none; one of another container stays.
  absl::Status Remove(const Address& address, const std::string& container_id,
                      base::Deadline deadline);

  // Removes the tables that have no element. Best effort: without one they do nothing.
  void RemoveUnusedTables(base::Deadline deadline);

 private:
  // Kept open: to close a socket of netfilter is to wait for RCU after something was removed.
  SharedNetlink netlink_{NETLINK_NETFILTER};
};

// The transaction that adds an element, for tests: with the pods' network as a new chain, and with
// a new table, or without.
enum class Missing { kNothing, kNetwork, kTable };
std::vector<Message> AddBatch(const Prefix& address, const std::string& container_id,
                              Missing missing);

}  // namespace crisp::cni::native
