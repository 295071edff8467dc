// Names of systemd units as far as groups need them: slices, and where they are in the hierarchy.
// Pure; private to src/cgroup. Sources: systemd.slice(5), systemd.unit(5).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::cgroup {

// CRI's cgroup_parent as the systemd driver takes it: the unit "a-b.slice", also written
// "/a-b.slice" or in full "/a.slice/a-b.slice". InvalidArgument for everything else.
absl::StatusOr<std::string> ParseSlice(absl::string_view cgroup_parent);

// A valid slice and its ancestors, outermost first: "a-b.slice" -> "a.slice", "a-b.slice". The root
// "-.slice" has none.
std::vector<std::string> SliceChain(absl::string_view slice);

// Where a valid slice is below the mount point: "/a.slice/a-b.slice"; "" for "-.slice".
std::string SlicePath(absl::string_view slice);

}  // namespace crisp::cgroup
