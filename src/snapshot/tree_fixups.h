// The part of unpacking a layer that needs the layers below it. Layers are unpacked in parallel and
// independently. When the parents are complete, this step makes the layer equal to one that was
// unpacked on top of its parents (as containerd does):
//   - hard links to files of lower layers: the file is copied up, then linked; if the layer deletes
//     or replaces the file later, only the link has the lower one;
//   - directories without an entry, made for an entry below them, get the mode, ids, times and
//     attributes of the same directory in the lower layers instead of 0755 root;
//   - where the lower layers have a link (/lib -> usr/lib) in place of such a directory, its
//     contents move to the target of the link; otherwise the directory would hide the link.
#pragma once

#include "absl/status/status.h"
#include "snapshot/merged_tree.h"
#include "snapshot/space_guard.h"
#include "snapshot/tree_writer.h"

namespace crisp::snapshot {

// `root_fd` is the layer's directory and also the top of `merged`, and deferred.opaque is what
// `merged` was given. kInvalidArgument for a hard link whose target is in no layer.
absl::Status ApplyFixups(int root_fd, MergedTree& merged, Deferred& deferred, SpaceGuard& guard);

}  // namespace crisp::snapshot
