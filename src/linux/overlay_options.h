// The options of every overlay that crispd and the shim mount. Pure, thread-safe.
// Source: Documentation/filesystems/overlayfs.rst of Linux.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace crisp::linux {

// For mount(2) with the directory that all names are relative to as the working directory. `lowers`
// top-most first; `upper` and `work` are both empty for a read-only overlay. kInvalidArgument when
// a name contains a separator of the option syntax, or when the options exceed the page that
// mount(2) takes.
absl::StatusOr<std::string> OverlayOptions(const std::vector<std::string>& lowers,
                                           const std::string& upper, const std::string& work);

}  // namespace crisp::linux
