// Links, addresses and routes of one network namespace, over rtnetlink. Everything ends at the
// deadline that Open() gets. Not thread-safe; see netlink.h. Errors name the link or address.
// Source: rtnetlink(7), veth(4), bridge of iproute2.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "cni/native/address.h"
#include "cni/native/conf.h"
#include "cni/native/netlink.h"

namespace crisp::cni::native {

struct Link {
  uint32_t index = 0;
  std::string name;
  std::string kind;  // "bridge", "veth"; empty for hardware and lo
  std::optional<Mac> mac;
  uint32_t flags = 0;  // IFF_*
  uint32_t group = 0;
  bool running = false;  // operational state "up"
};

struct LinkAddress {
  Prefix prefix;
  uint32_t flags = 0;  // IFA_F_*
};

// A pair of which one end is on the host, a port of the bridge and up, and the other in the pod.
struct Veth {
  std::string host_name;
  uint32_t bridge = 0;  // index
  std::string pod_name;
  int pod_netns = -1;
  uint32_t mtu = 0;  // 0: the kernel's
  std::optional<Mac> pod_mac;
};

class Links {
 public:
  // Of the network namespace that the calling thread is in.
  static absl::StatusOr<Links> Open(base::Deadline deadline);

  // kNotFound when there is none.
  absl::StatusOr<Link> Find(const std::string& name);
  // kAlreadyExists when there is a link of that name.
  absl::Status AddBridge(const std::string& name, uint32_t mtu);
  // kAlreadyExists when one of the names is taken.
  absl::Status AddVeth(const Veth& veth);
  // Sets the flags (IFF_*) of `mask` to those of `flags`.
  absl::Status SetFlags(const Link& link, uint32_t mask, uint32_t flags);
  absl::Status SetMac(const Link& link, const Mac& mac);
  // Of a port: what comes in may go out again on it.
  absl::Status SetHairpin(const Link& link);
  // Waits for what the kernel waits for (RCU): 10 to 40 ms. OK when it is gone.
  absl::Status Delete(const Link& link);
  // Of a port: its bridge takes nothing from it and sends nothing to it any more. Before kernel
  // 5.18 it takes something again when the other end is set down and up, and of a bridge with a
  // spanning tree always. OK when it is not a port, or gone.
  absl::Status ClosePort(const Link& link);
  // Marks the link as one that DeleteAbandoned() takes away, and does not wait for RCU. The kernel
  // keeps the mark (it is the link's group), so that a crispd which is started later finds it. OK
  // when the link is gone.
  absl::Status Abandon(const Link& link);
  // Deletes all veths of pods that are marked, whoever did it, in one request: for all of them
  // together the kernel waits little longer than for one. OK without such links. Other links stay:
  // a pod can mark a device that the host has lent it.
  absl::Status DeleteAbandoned();

  absl::StatusOr<std::vector<LinkAddress>> Addresses(const Link& link);
  // kAlreadyExists when the link has it.
  absl::Status AddAddress(const Link& link, const Prefix& prefix);
  // OK when the link does not have it.
  absl::Status RemoveAddress(const Link& link, const Prefix& prefix);
  absl::Status AddRoute(const Link& link, const Route& route);

 private:
  // What `fill` puts, of a port of a bridge.
  absl::Status SetPort(const Link& link, absl::string_view what,
                       const std::function<void(Message&)>& fill);
  absl::Status SetGroup(const Link& link, uint32_t group);
  absl::StatusOr<std::vector<Link>> All();

  explicit Links(Netlink netlink) : netlink_(std::move(netlink)) {}
  Netlink netlink_;
};

std::string ToString(const Mac& mac);

// The name that the host's end of a pod's veth has: "veth" and eight hexadecimal digits, as the
// plugin names it.
absl::StatusOr<std::string> RandomVethName();

}  // namespace crisp::cni::native
