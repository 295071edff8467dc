// A container's root filesystem as a description of an overlay mount. Nothing here is mounted by
// the daemon: the shim mounts it inside the container's mount namespace (ARCHITECTURE.md,
// "crash-only").
#pragma once

#include <string>
#include <vector>

namespace crisp::snapshot {

// Names are relative to `base` and short ("layers/12/fs"), so that 127 layers fit the one page of
// mount options that kernels before 6.5 take: chdir to `base`, then mount. Top-most layer first, as
// lowerdir= wants it.
struct RootfsView {
  std::string base;                 // absolute; the store's directory
  std::vector<std::string> lowers;  // may be empty: an image without layers
  std::string upper;       // empty when there is no writable layer (image volumes, read-only views)
  std::string work;        // empty exactly when `upper` is
  bool read_only = false;  // mount with MS_RDONLY
};

}  // namespace crisp::snapshot
