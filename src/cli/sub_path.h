// A subPath of a volume as something that can be mounted, whatever the containers of the pod, which
// may write to the volume, put there meanwhile. Thread-safe: no shared state.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace crisp::cli {

// Binds `sub_path` below `volume` to `target`, which must be in a directory that only we write to.
// The path is resolved as in a root of its own, so that links do not lead out; what is missing is
// made as a directory. A mount that is there already is taken away first.
absl::Status BindSubPath(const std::string& volume, const std::string& sub_path,
                         const std::string& target);

// Detaches all mounts at and below `directory`. Errors: one is left.
absl::Status DetachMounts(const std::string& directory);

}  // namespace crisp::cli
