// The host's /dev/null as a container may hold it. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// Opened for reading and writing through a read-only mount of its own: root in a container owns
// what it gets as a standard stream, and fchmod(2) through it would reach the node of the whole
// host. Linux 5.12 (mount_setattr).
absl::StatusOr<base::UniqueFd> OpenNull();

}  // namespace crisp::linux
