// Copies a directory of an image, as it is: a volume that the image declares begins with it. The
// source is read-only and hostile; the copy is in nobody else's hands yet. Thread-safe: no shared
// state.
#pragma once

#include "absl/status/status.h"
#include "snapshot/space_guard.h"

namespace crisp::snapshot {

// `from` and `to` are descriptors of directories; `to` is empty. Afterwards `to` has the content,
// owner, mode, times and kept extended attributes (tree_metadata.h) of `from`: files with their
// holes and hard links, directories, links, devices. Whiteouts of overlayfs are left out. Takes
// memory in proportion to the number of directories and hard links. kResourceExhausted when `guard`
// says that the disk has too little room. After an error `to` has a part of it.
absl::Status CopyTree(int from, int to, SpaceGuard& guard);

}  // namespace crisp::snapshot
