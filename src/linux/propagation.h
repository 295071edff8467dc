// Whether mounts made elsewhere are seen below a path (mount_namespaces(7)). Thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace crisp::linux {

struct Propagation {
  std::string mount_point;  // of the mount the path is on
  bool shared = false;      // with its peers, in both directions
  bool slave = false;       // receives from a master
};

// By /proc/self/mountinfo and STATX_MNT_ID (Linux 5.8); NotFound when there is no such path.
absl::StatusOr<Propagation> PropagationOf(const std::string& path);

}  // namespace crisp::linux
