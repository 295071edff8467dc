// The root file system of a container as the description of an overlay mount. The shim mounts it
// inside the container's mount namespace; crispd mounts nothing. Plain value.
#pragma once

#include <string>
#include <vector>

namespace crisp::snapshot {

// Names are relative to `base` and short ("layers/12/fs"), so that most stacks fit into the page of
// mount options: chdir to `base`, then mount. Top-most layer first, as in lowerdir=.
struct RootfsView {
  std::string base;                 // absolute; the store's directory
  std::vector<std::string> lowers;  // may be empty: an image without layers
  std::string upper;       // empty without a writable layer (image volumes, read-only views)
  std::string work;        // empty exactly when `upper` is
  bool read_only = false;  // mount with MS_RDONLY
};

}  // namespace crisp::snapshot
