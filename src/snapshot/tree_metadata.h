// Ownership, mode, times and extended attributes of files in a layer: which attributes of an image
// are kept, and how they are set. The functions take a descriptor and at most one name without "/",
// so no path of an image is resolved here. Those that take both change the working directory, which
// the calling thread must have to itself: the calls for attributes take no directory, and a process
// that unpacks has no /proc.
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

// user.* except user.overlay.*; security.capability; the POSIX ACLs. Attributes that control
// overlayfs or belong to security modules of the host (trusted.*, security.selinux, .ima, .evm ..)
// are dropped; so are those that a file of the entry's type cannot have (user.* on a link or FIFO).
bool KeepsXattr(absl::string_view name);

// The whiteout of overlayfs, which hides a file of lower layers: a character device 0:0.
inline bool IsWhiteout(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

struct Metadata {
  mode_t mode = 0;  // 07777
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime = {};
  std::vector<TarEntry::Xattr> xattrs;  // only those that KeepsXattr allows
};

// Of ids only the low 32 bits count, as with other runtimes; -1 (2^32-1) leaves a new file to root,
// as chown(2) does. A time before 1970, or of 2262 and later, is 1970.
Metadata MetadataOf(const TarEntry& entry);

// Makes `dir_fd` the working directory.
absl::Status WorkIn(int dir_fd);

// Of `name` in `dir_fd`, itself if it is a link.
absl::StatusOr<Metadata> ReadMetadata(int dir_fd, const std::string& name, const struct stat& info);

// Metadata that a new inode has already, so that needless calls are omitted.
struct Fresh {
  bool owned_by_root = false;  // 0:0
  bool mode_set = false;       // created with its final 0777 bits
};

// Sets the metadata of `name` in `dir_fd`; a link is not followed. chown(2) comes first, as it
// clears set-id bits and capabilities, and times come last.
absl::Status ApplyMetadata(int dir_fd, const std::string& name, const Metadata& data,
                           mode_t file_type, Fresh fresh);
// The same for an open file or directory (not O_PATH).
absl::Status ApplyMetadata(int fd, const Metadata& data, Fresh fresh);
// What the entry of a hard link says of the file, which has the new name `name` and was as `info`
// says: containerd and Docker apply it, too. Attributes only to files.
absl::Status ApplyLinkMetadata(int dir_fd, const std::string& name, Metadata data,
                               const struct stat& info);

// linux::MakeDirsInRoot with mode 0755 (less the umask), which keeps the times of existing
// directories.
absl::Status MakeParents(int root_fd, absl::string_view path, std::vector<std::string>& created);

}  // namespace crisp::snapshot
