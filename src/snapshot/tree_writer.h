// Writes tar entries into the lower directory of an overlay, below one root descriptor.
//
// Preserved: type, mode with set-id and sticky bits, numeric ids, mtime (also of directories, after
// their children), hard links, links, FIFOs, devices, holes, the attributes that KeepsXattr allows.
// Whiteouts: .wh.x becomes a character device 0:0 (an entry that is one already stays), and
// .wh..wh..opq the opaque attribute of its directory. They apply to lower layers only, so a file of
// the same layer wins. Files of AUFS (.wh..wh.*) are skipped, but hard links to them work.
//
// Refused (kInvalidArgument): names over 4095 bytes, `.wh.` without a name, whiteouts as
// directories, hard links to directories. "/abs" is taken as "abs", "a/../b" as "b", "../b" as "b";
// an entry for the root that is not a directory, or named with "..", is skipped. A later entry
// replaces an earlier one, whatever their types.
//
// Parents are looked up as if chrooted to the root, so a link of the same layer in the middle of a
// name cannot lead out (as with containerd and umoci); the last component is created with O_EXCL
// and never followed. Work that needs the layers below (a hard link to one of their files, the mode
// of a directory without an entry) is collected in Deferred and done by tree_fixups.h.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "snapshot/space_guard.h"
#include "snapshot/tar_reader.h"
#include "snapshot/tree_metadata.h"

namespace crisp::snapshot {

// Work that needs the parents of a layer, and what is needed for it. At most 16 MiB.
struct Deferred {
  struct Link {
    std::string name;
    std::string target;
    bool follow = false;  // the target, if it is a symbolic link
    Metadata data;
  };
  std::vector<Link> links;  // target not in this layer (yet)
  // Made for an entry below them; without an entry of their own so far.
  std::map<ino_t, std::string> implicit_directories;
  std::set<ino_t> opaque;  // directories of this layer that hide those below
  size_t bytes = 0;

  // A directory with this number is new: what was known of an earlier one is void.
  void Forget(ino_t inode) {
    implicit_directories.erase(inode);
    opaque.erase(inode);
  }

  bool empty() const { return links.empty() && implicit_directories.empty(); }
};

// One thread, with umask 0 and a working directory of its own, which it changes. Nothing else may
// change the tree.
class TreeWriter {
 public:
  // Sets the opaque attribute of an open directory, which takes CAP_SYS_ADMIN.
  using MarkOpaque = std::function<absl::Status(int fd)>;

  // Descriptor and guard are borrowed.
  TreeWriter(int root_fd, SpaceGuard& guard, MarkOpaque mark_opaque)
      : root_fd_(root_fd), guard_(guard), mark_opaque_(std::move(mark_opaque)) {}

  // Writes all entries of an archive. Errors begin with the name of the entry.
  absl::Status Unpack(TarReader& tar);

  Deferred& deferred() { return deferred_; }

 private:
  absl::Status Apply(const TarEntry& entry, TarReader& tar);
  absl::Status ApplyToRoot(const TarEntry& entry);
  absl::Status Create(const std::string& name, const TarEntry& entry, TarReader& tar);
  absl::Status CreateFile(const std::string& name, const TarEntry& entry, TarReader& tar);
  absl::Status CreateDirectory(const std::string& name, const Metadata& data);
  absl::Status CreateSpecial(const std::string& name, const TarEntry& entry);
  absl::Status CreateHardLink(const std::string& name, const TarEntry& entry);
  absl::Status CreateWhiteout(const std::string& name);
  absl::Status MakeOpaque(int fd);
  absl::Status WriteContents(int fd, const TarEntry& entry, TarReader& tar);

  // Makes `path` the parent directory for Create*, and restores the times of the previous one.
  absl::Status Enter(const std::string& path);
  absl::Status Leave();
  absl::Status MakeImplicitParents(const std::string& path);
  // Runs `make` (0 or -1 with errno); on EEXIST removes what is there and runs it again.
  template <typename Make>
  absl::Status Place(const std::string& name, const char* operation, Make make);
  absl::Status ClearName(const std::string& name);
  // The metadata that a new child has already; removes inherited ACLs.
  absl::StatusOr<Fresh> FreshChild(const std::string& name, bool directory);
  absl::Status Defer(size_t bytes);

  const int root_fd_;
  SpaceGuard& guard_;
  const MarkOpaque mark_opaque_;
  Deferred deferred_;
  bool saw_default_acl_ = false;
  bool has_aufs_links_ = false;

  // The parent directory of the current entry, which following entries usually share. Each child
  // changes its times; they are restored when the parent changes.
  base::UniqueFd parent_;
  std::string parent_path_;
  struct stat parent_info_ = {};
  bool parent_has_default_acl_ = false;
  bool leave_after_entry_ = false;
};

}  // namespace crisp::snapshot
