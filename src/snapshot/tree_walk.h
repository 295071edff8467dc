// A walk over a tree that may be hostile and may change meanwhile (a running container's writable
// layer): by descriptors, never following a link, one directory open at a time and 32 bytes of
// memory per level, whatever depth or width somebody made.
#pragma once

#include <sys/stat.h>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "snapshot/snapshot_store.h"

namespace crisp::snapshot {

// `name` is in the directory `dir_fd`. Called before a directory's children.
using Visit = absl::FunctionRef<void(int dir_fd, const char* name, const struct stat& info)>;

// Everything below `root_fd`, not the root itself. kAborted when a directory was moved while the
// walk was in it; things that vanish are left out.
absl::Status WalkTree(int root_fd, Visit visit);

// Allocated bytes and inodes of the tree with its root. A file with several links counts once when
// all of them are in the tree.
absl::StatusOr<Usage> MeasureTree(int root_fd);

}  // namespace crisp::snapshot
