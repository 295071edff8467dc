// Whether mounts made in other mount namespaces appear below a path (mount_namespaces(7)).
// Thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace crisp::linux {

struct Propagation {
  std::string mount_point;  // of the mount that the path is on
  bool shared = false;      // mounts appear on both sides
  bool slave = false;       // mounts of the master appear here
};

// Looks the path's STATX_MNT_ID (Linux 5.8) up in /proc/self/mountinfo. NotFound when the path does
// not exist.
absl::StatusOr<Propagation> PropagationOf(const std::string& path);

}  // namespace crisp::linux
