// The pod's end of its veth pair: what is done inside the pod's network namespace. Each function
// runs on a thread of its own that enters the namespace and ends. Thread-safe.
// Source: containernetworking/plugins 1.1.1, pkg/ipam/ipam_linux.go, pkg/ip/addr_linux.go.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "cni/native/conf.h"
#include "cni/native/host_local.h"
#include "cni/native/links.h"

namespace crisp::cni::native {

// Gives the interface its addresses, sets it up, waits until its IPv6 addresses may be used, and
// adds the routes. Says what the interface is.
absl::StatusOr<Link> SetUpInterface(int netns, const std::string& name,
                                    const std::vector<Lease>& leases,
                                    const std::vector<Route>& routes, base::Deadline deadline);

// Takes these addresses away, which needs no wait for RCU. OK without the interface.
absl::Status TakeAddresses(int netns, const std::string& name, const std::vector<Prefix>& addresses,
                           base::Deadline deadline);

// Deletes the interface, and so the pair. Waits for RCU. OK without the interface.
absl::Status DeleteInterface(int netns, const std::string& name, base::Deadline deadline);

// Sets `lo` up; its addresses, the first one of each family.
absl::StatusOr<std::vector<Prefix>> SetLoopback(int netns, base::Deadline deadline);
absl::Status SetLoopbackDown(int netns, base::Deadline deadline);

}  // namespace crisp::cni::native
