// The host's /dev/null in a form that is safe to pass to a container. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// Opens it for reading and writing through a private read-only mount. Otherwise root in a container
// could fchmod(2) the host's node through its standard streams. Needs Linux 5.12
// (mount_setattr(2)).
absl::StatusOr<base::UniqueFd> OpenNull();

}  // namespace crisp::linux
