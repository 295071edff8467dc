// A mount namespace with nothing in it but an empty, read-only root directory, for processes that
// have no business with the host's files. Made once and joined by each of them: a namespace of
// their own would cost each a copy of all mounts of the host, and two waits for all CPUs to let
// them go. It joins them in nothing else, as there is nothing in it to be changed.
// Source: mount_namespaces(7), pivot_root(2). Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// Lives as long as the descriptor and the processes in it. setns(2) with CLONE_NEWNS makes its root
// directory that of the caller, and the working directory.
absl::StatusOr<base::UniqueFd> MakeEmptyMountNamespace();

}  // namespace crisp::linux
