// From limits to the files that hold them: an ordered list of writes for a v1 or a v2 group, made
// while everything can still be refused politely. Pure except for `current`; private to src/cgroup.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cgroup/layout.h"
#include "cgroup/libcgroup.h"
#include "cgroup/resources.h"

namespace crisp::cgroup {

// The present content of a file of the group without the last newline, or nothing when there is
// none.
using CurrentValue =
    std::function<std::optional<std::string>(absl::string_view controller, absl::string_view file)>;

// The order makes every intermediate state valid for the kernel: memory + swap is never below
// memory, and the share of CPU never above both the old and the new one. InvalidArgument naming
// field and value for what can be seen to be wrong here; FailedPrecondition for a limit whose
// controller the host lacks. Everything else is left to the kernel's judgement.
absl::StatusOr<std::vector<Setting>> PlanSettings(const Layout& layout, const Resources& resources,
                                                  const CurrentValue& current);

// "c 1:3 rwm", as devices.allow and devices.deny want it.
std::string DeviceLine(const DeviceRule& rule);

}  // namespace crisp::cgroup
