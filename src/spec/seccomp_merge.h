// Two seccomp filters as one. Pure, thread-safe.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "absl/status/statusor.h"

namespace crisp::spec {

// For each system call the more restrictive of the actions that the two have for it, as the kernel
// does with two that are installed (seccomp(2), "Return value"); of equal ones that of `base`. A
// process cannot install both itself: the first may forbid it. Both must be filters that the kernel
// would take. kInvalidArgument for more than ipc::kMaxSeccompInstructions.
absl::StatusOr<std::vector<sock_filter>> MergeFilters(const std::vector<sock_filter>& base,
                                                      const std::vector<sock_filter>& other);

}  // namespace crisp::spec
