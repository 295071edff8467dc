// A network namespace in the place of a pod's that is lost: an interface has the pod's addresses in
// it, and nothing else is there. The plugins bridge and ptp find the masquerade rules that they
// have made on the host by these addresses; without a namespace they leave the rules. Thread-safe.
// Source: cmdDel of containernetworking/plugins 1.1 to 1.7; rtnetlink(7), veth(4).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::cni {

// The namespace lives as long as its descriptor, which others open as /proc/<pid>/fd/<descriptor>.
// `cidrs` are like "10.1.2.3/24" and "fd00::5/64"; kInvalidArgument for others.
absl::StatusOr<base::UniqueFd> MakeStandIn(const std::string& interface,
                                           const std::vector<std::string>& cidrs);

}  // namespace crisp::cni
