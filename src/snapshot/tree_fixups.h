// The part of unpacking a layer that needs the layers below it. Layers are unpacked in parallel and
// on their own; when the parents are complete, this brings the result to what unpacking them one on
// top of the other would have given (containerd's order):
//   - hard links to files of lower layers: the file is copied up, then linked;
//   - directories made only because something below them had an entry get the mode, ids, times and
//     attributes of the lower directory they stand for, not 0755 root;
//   - such a directory where the lower layers have a link (/lib -> usr/lib): its contents move to
//   where
//     the link leads, instead of hiding the link.
#pragma once

#include "absl/status/status.h"
#include "snapshot/merged_tree.h"
#include "snapshot/space_guard.h"
#include "snapshot/tree_writer.h"

namespace crisp::snapshot {

// `root_fd` is the layer's directory and also the top of `merged`. kInvalidArgument for a hard link
// whose target is in no layer.
absl::Status ApplyFixups(int root_fd, MergedTree& merged, Deferred deferred, SpaceGuard& guard);

}  // namespace crisp::snapshot
