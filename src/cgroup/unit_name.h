// Names of systemd slices and their place in the cgroup hierarchy. Pure and thread-safe; private to
// src/cgroup. Sources: systemd.slice(5), systemd.unit(5).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::cgroup {

// Parses CRI's cgroup_parent for the systemd driver: the unit "a-b.slice", also written
// "/a-b.slice" or in full "/a.slice/a-b.slice". InvalidArgument for everything else.
absl::StatusOr<std::string> ParseSlice(absl::string_view cgroup_parent);

// A valid slice and its ancestors, outermost first: "a-b.slice" -> "a.slice", "a-b.slice". Empty
// for the root "-.slice".
std::vector<std::string> SliceChain(absl::string_view slice);

// The path of a valid slice below the mount point: "/a.slice/a-b.slice"; "" for "-.slice".
std::string SlicePath(absl::string_view slice);

}  // namespace crisp::cgroup
