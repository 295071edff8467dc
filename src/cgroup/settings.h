// Turns limits into an ordered list of writes to the files of a v1 or v2 group, and refuses bad
// values before anything is written. Private to src/cgroup. Thread-safe: no state.
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

// Returns the content of a file of the group without the last newline, or nothing if there is no
// such file.
using CurrentValue =
    std::function<std::optional<std::string>(absl::string_view controller, absl::string_view file)>;

// The order makes every intermediate state valid for the kernel: memory + swap is never below
// memory, and the share of CPU never above both the old and the new one. InvalidArgument naming
// field and value for a bad value; FailedPrecondition for a limit whose controller the host lacks.
// Values that depend on other groups are checked by the kernel when they are written.
absl::StatusOr<std::vector<Setting>> PlanSettings(const Layout& layout, const Resources& resources,
                                                  const CurrentValue& current);

// "c 1:3 rwm", the format of devices.allow and devices.deny.
std::string DeviceLine(const DeviceRule& rule);

}  // namespace crisp::cgroup
