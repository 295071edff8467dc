// Who is in a group. Thread-safe: no shared state.
#pragma once

#include <sys/types.h>

#include <vector>

#include "absl/strings/string_view.h"
#include "cgroup/layout.h"

namespace crisp::cgroup {

// Processes (not threads) of the group and of all groups below it, in no order; empty when it does
// not exist. A snapshot: pids may be gone, or another's, by the time they are looked at.
std::vector<pid_t> ReadProcesses(const Layout& layout, absl::string_view path);

}  // namespace crisp::cgroup
