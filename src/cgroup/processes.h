// Lists the processes of a group. Thread-safe: no shared state.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "cgroup/kept_files.h"
#include "cgroup/layout.h"

namespace crisp::cgroup {

// Processes (not threads) of the group and of all groups below it, unordered; empty when the group
// does not exist. A process may have exited, and its pid been reused, by the time the caller looks.
std::vector<pid_t> ReadProcesses(const Layout& layout, absl::string_view path);
// How many there are, at little cost: of a group with very many, or with very many groups below it,
// not all are counted. `kept` may be null.
uint64_t CountProcesses(const Layout& layout, absl::string_view path, KeptFiles* kept);

}  // namespace crisp::cgroup
