// The options of every overlay that crispd and the shim mount. Pure, thread-safe.
// Source: Documentation/filesystems/overlayfs.rst of Linux.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace crisp::linux {

// The limit of overlayfs itself.
inline constexpr size_t kMaxOverlayLayers = 500;

// mount(2) takes one page of options. When they are longer, the layers have to be attached under
// shorter names first.
inline constexpr size_t kMaxOverlayOptions = 4095;

// For mount(2) with the directory that all names are relative to as the working directory. `lowers`
// top-most first; `upper` and `work` are both empty for a read-only overlay. kInvalidArgument when
// a name contains a separator of the option syntax, and for more than kMaxOverlayLayers.
absl::StatusOr<std::string> OverlayOptions(const std::vector<std::string>& lowers,
                                           const std::string& upper, const std::string& work);

}  // namespace crisp::linux
