// Forgets what the kernel has noted of flows of UDP. While packets keep coming, it sends them where
// the first one went: one from before there was a pod behind the port would never reach it.
// Source: <linux/netfilter/nfnetlink_conntrack.h>.
#pragma once

#include <cstdint>
#include <optional>
#include <set>

#include "absl/status/status.h"
#include "base/deadline.h"
#include "cni/native/netlink.h"

namespace crisp::cni::native {

// All flows to these ports, of one family and of whatever address, in the network namespace of the
// calling thread. Reads the kernel's whole table. Thread-safe.
absl::Status ForgetFlows(const std::set<uint16_t>& ports, bool v6, base::Deadline deadline);

// The request that forgets the flow which an answer describes, if it is of UDP and was sent to one
// of the ports. For tests.
std::optional<Message> ForgetRequest(nlmsghdr* flow, const std::set<uint16_t>& ports);

}  // namespace crisp::cni::native
