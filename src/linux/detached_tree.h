// Directories as mounts that are attached nowhere: who gets the descriptor reaches what is below
// the directory and, unlike with a descriptor of the directory itself, nothing above it.
// Source: open_tree(2) (Linux 5.2), mount_setattr(2) (5.12). Thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// A mount of the tree at `directory`, without what is mounted in it, nosuid, nodev and noexec. It
// lives as long as the descriptor and those opened through it.
absl::StatusOr<base::UniqueFd> OpenDetachedTree(const std::string& directory, bool read_only);

}  // namespace crisp::linux
