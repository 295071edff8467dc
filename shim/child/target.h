// Names inside the container's rootfs, which is hostile: images bring links, other containers of
// the pod change shared volumes meanwhile. Nothing here ever leaves the root, whatever happens to
// the tree during a call. No allocation.
#pragma once

#include "shim/child/step.h"

namespace crisp::shim {

enum class TargetType { kDirectory, kFile };

// An O_PATH descriptor of an existing `path` below the root, links followed inside it; -1 and errno
// if there is none. Links of procfs that jump elsewhere ("/proc/self/fd/3") are refused with ELOOP.
int OpenInside(int root, const char* path);

// The same for a place something is to be mounted on: missing directories, and the file or
// directory itself, are made (0755, an empty 0644 file). A dangling link's target is made, inside
// the root. -1 and errno; EEXIST/ENOTDIR when something of the other type is in the way.
int OpenOrMakeInside(int root, const char* path, TargetType type);

// Attaches a detached tree to a place; both are descriptors.
bool AttachTree(int tree, int target);

// Whether the descriptor is on a file system of this type (statfs(2) f_type).
bool IsOnFilesystem(int fd, long type);

}  // namespace crisp::shim
