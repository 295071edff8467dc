// A walk over a tree that is not trusted but that nothing moves meanwhile (an unpacked layer, what
// is in the trash): by descriptors, without following links, with one open directory at a time and
// 32 bytes of memory per level, for any depth and width.
#pragma once

#include <sys/stat.h>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "snapshot/usage.h"

namespace crisp::snapshot {

// `name` is in the directory `dir_fd`. Called before a directory's children.
using Visit = absl::FunctionRef<void(int dir_fd, const char* name, const struct stat& info)>;

// Visits everything below `root_fd`, not the root itself. kAborted when a directory was moved while
// the walk was in it; files that were removed meanwhile are skipped.
absl::Status WalkTree(int root_fd, Visit visit);

// Allocated bytes and inodes of the tree, including its root. A file with several links counts once
// if all of them are in the tree.
absl::StatusOr<Usage> MeasureTree(int root_fd);

}  // namespace crisp::snapshot
