// Read-only views of overlay layers that are mounted nowhere: for looking into an image without a
// mount on the host.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// Opens the root of the merged, read-only tree of `lowers` below `base`; a single layer is opened
// as it is. The mount lives as long as the descriptor. Uses a thread of its own with a private
// mount namespace; safe from any thread.
absl::StatusOr<base::UniqueFd> OpenOverlay(const std::string& base,
                                           const std::vector<std::string>& lowers);

}  // namespace crisp::linux
