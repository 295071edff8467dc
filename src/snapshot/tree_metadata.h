// Ownership, mode, times and extended attributes of files in a layer: which attributes of an image
// are kept, and how they get onto an inode. Functions on descriptors of directories that are ours,
// plus one name without "/": nothing is looked up. Thread-safe: no shared state.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "snapshot/tar_reader.h"

namespace crisp::snapshot {

inline constexpr char kOpaqueXattr[] = "trusted.overlay.opaque";

// user.* but not user.overlay.*; security.capability; the POSIX ACLs. What would steer overlayfs or
// belongs to the host's security modules (trusted.*, security.selinux, .ima, .evm ..) is dropped.
bool KeepsXattr(absl::string_view name);

// overlayfs' mark for "deleted here": a character device 0:0.
inline bool IsWhiteout(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

struct Metadata {
  mode_t mode = 0;  // 07777
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime = {};
  std::vector<TarEntry::Xattr> xattrs;  // already filtered
};

// Checks ranges. kInvalidArgument for ids that chown(2) cannot express or takes for "leave it".
absl::StatusOr<Metadata> MetadataOf(const TarEntry& entry);

// Of an inode in a layer; `fd` may be O_PATH.
absl::StatusOr<Metadata> ReadMetadata(int fd, const struct stat& info);

// What the new inode already has, so that calls that would change nothing are left out.
struct Fresh {
  bool owned_by_root = false;  // 0:0
  bool mode_set = false;       // created with the 0777 bits it shall have
};

// `name` below `dir_fd`, not following a link. Order matters: chown(2) clears set-id bits and
// capabilities, so it comes first; times last.
absl::Status ApplyMetadata(int dir_fd, const std::string& name, const Metadata& data,
                           mode_t file_type, Fresh fresh);
// The same for an open file or directory (not O_PATH).
absl::Status ApplyMetadata(int fd, const Metadata& data, Fresh fresh);

// linux::MakeDirsInRoot with mode 0755 (less the umask) that leaves the times of directories that
// were there as they are.
absl::Status MakeParents(int root_fd, absl::string_view path, std::vector<std::string>& created);

}  // namespace crisp::snapshot
