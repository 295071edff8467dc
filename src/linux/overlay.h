// Read-only views of overlay layers that are mounted nowhere: for looking into an image without a
// mount on the host.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// The option string of an overlay of `lowers` (top-most first, relative to the directory it is
// mounted from). Layers come from others: redirects, metacopies and indexes in them are not
// followed. Pass the result to mount(2) with the current directory set to the layers' base.
std::string OverlayOptions(const std::vector<std::string>& lowers, const std::string& upper,
                           const std::string& work);

// Opens the root of the merged, read-only tree of `lowers` below `base`; a single layer is opened
// as it is. The mount lives as long as the descriptor. Uses a thread of its own with a private
// mount namespace; safe from any thread.
absl::StatusOr<base::UniqueFd> OpenOverlay(const std::string& base,
                                           const std::vector<std::string>& lowers);

}  // namespace crisp::linux
