// Paths inside the container's rootfs, which is hostile: the image may have links anywhere, and
// other containers of the pod may change shared volumes at any time. No path leads out of the root,
// whatever happens to the tree during a call. No allocation.
#pragma once

#include "shim/child/step.h"

namespace crisp::shim {

enum class TargetType { kDirectory, kFile };

// An O_PATH descriptor of an existing `path` below the root, with links followed inside the root;
// -1 and errno when it does not exist. Magic links ("/proc/self/fd/3") are refused with ELOOP.
int OpenInside(int root, const char* path);

// The same for a mount point: missing directories (0755) and the mount point itself (a directory or
// an empty file, 0644) are made, also where a dangling link leads inside the root. -1 and errno;
// EISDIR or ENOTDIR when the path exists and is of the other type.
int OpenOrMakeInside(int root, const char* path, TargetType type);

// Attaches a detached tree; both are descriptors.
bool AttachTree(int tree, int target);

// Whether the descriptor is on a file system of this type (statfs(2) f_type).
bool IsOnFilesystem(int fd, long type);

}  // namespace crisp::shim
