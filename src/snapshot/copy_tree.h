// Copies directories of an image, as they are: volumes that the image declares begin with them. The
// source is read-only and hostile; the copies are in nobody else's hands yet. One thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "snapshot/space_guard.h"

namespace crisp::snapshot {

class TreeCopier {
 public:
  // Of the names and hard links that must be kept in mind: enough for 100,000 directories beside
  // each other on the way to the deepest, or 20,000 files with hard links.
  static constexpr size_t kMaxKept = 4 << 20;

  // Whether a directory is made, but not filled; "/a/b" is `b` in `a` of the copied directory.
  using LeaveEmpty = absl::FunctionRef<bool(absl::string_view path)>;

  // `directory` is a descriptor of the directory that has the copies, borrowed. `proceed` is asked
  // at every file and every few MiB; its error ends a copy.
  TreeCopier(int directory, const UnpackLimits& limits, std::function<absl::Status()> proceed)
      : directory_(directory), guard_(directory, limits), proceed_(std::move(proceed)) {}

  // Fills the empty directory `name` of `directory` with what is in `from`, a descriptor of a
  // directory. Afterwards it has the content, owner, mode, times and kept extended attributes
  // (tree_metadata.h) of `from`: files with their holes, directories, links, devices, and hard
  // links, also those between two copies. So all copies together take no more room than the image
  // if no directory is copied twice. Whiteouts of overlayfs are left out. Takes at most two
  // descriptors for each side and twice kMaxKept of memory. kResourceExhausted when the tree has
  // too many directories or hard links for that, or the disk too little room. After an error the
  // copy has a part of it.
  absl::Status Copy(int from, const std::string& name, LeaveEmpty leave_empty);

 private:
  class Walk;

  const int directory_;
  SpaceGuard guard_;
  const std::function<absl::Status()> proceed_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;  // the first copy, below `directory`
  size_t links_bytes_ = 0;
};

}  // namespace crisp::snapshot
