// Overlay mounts of image layers, and read-only views of them that are mounted nowhere, so that
// crispd can look into an image without a mount on the host. Source:
// Documentation/filesystems/overlayfs. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// Opens the root of the merged, read-only tree of `lowers` below `base`; a single layer is opened
// without a mount. The mount lives as long as the descriptor. The work is done by a temporary
// thread with a private mount namespace, so it may be called from any thread.
absl::StatusOr<base::UniqueFd> OpenOverlay(const std::string& base,
                                           const std::vector<std::string>& lowers);

}  // namespace crisp::linux
