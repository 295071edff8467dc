#include "snapshot/tree_metadata.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "linux/rootfs_path.h"

namespace crisp::snapshot {
namespace {

constexpr mode_t kSpecialBits = S_ISUID | S_ISGID | S_ISVTX;

// The longest existing part of `path`, found by bisection, as every shorter part exists too.
absl::StatusOr<base::UniqueFd> OpenDeepest(int root_fd, absl::string_view path) {
  const std::vector<absl::string_view> names = absl::StrSplit(path, '/');
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd best,
                         linux::OpenInRoot(root_fd, ".", O_RDONLY | O_DIRECTORY));
  size_t exists = 0;
  size_t missing = names.size() + 1;
  while (missing - exists > 1) {
    const size_t middle = exists + (missing - exists) / 2;
    const std::string part = absl::StrJoin(names.begin(), names.begin() + middle, "/");
    auto fd = linux::OpenInRoot(root_fd, part, O_RDONLY | O_DIRECTORY);
    if (fd.ok()) {
      best = std::move(fd).value();
      exists = middle;
    } else if (absl::IsNotFound(fd.status())) {
      missing = middle;
    } else {
      return fd.status();
    }
  }
  return best;
}

// 1970 for times that a 64-bit number of nanoseconds since then does not reach, as by containerd.
timespec Bounded(timespec time) {
  constexpr int64_t kSecond = 1'000'000'000;
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  const bool late = time.tv_sec > kLast / kSecond ||
                    (time.tv_sec == kLast / kSecond && time.tv_nsec > kLast % kSecond);
  return time.tv_sec < 0 || late ? timespec{} : time;
}

// xattr(7): user.* only exists on files and directories, ACLs not on links, a default ACL only on
// directories.
bool CanHaveXattr(TarEntry::Type type, absl::string_view name) {
  const bool directory = type == TarEntry::Type::kDirectory;
  if (name == "system.posix_acl_default") return directory;
  if (name == "system.posix_acl_access") return type != TarEntry::Type::kSymlink;
  return !absl::StartsWith(name, "user.") || directory || type == TarEntry::Type::kFile ||
         type == TarEntry::Type::kHardLink;
}

// What the file system cannot store is left out, as by other runtimes. Not capabilities: a program
// would miss them without a hint.
absl::Status XattrError(absl::string_view xattr, absl::string_view file) {
  if (errno == EOPNOTSUPP && xattr != "security.capability") return absl::OkStatus();
  return base::Errno(absl::StrCat("setxattr ", xattr), file);
}

}  // namespace

bool KeepsXattr(absl::string_view name) {
  if (absl::StartsWith(name, "user.")) return !absl::StartsWith(name, "user.overlay.");
  return name == "security.capability" || name == "system.posix_acl_access" ||
         name == "system.posix_acl_default";
}

Metadata MetadataOf(const TarEntry& entry) {
  Metadata data = {entry.mode,
                   static_cast<uid_t>(entry.uid),
                   static_cast<gid_t>(entry.gid),
                   Bounded(entry.mtime),
                   {}};
  for (const TarEntry::Xattr& xattr : entry.xattrs) {
    const bool kept = KeepsXattr(xattr.name) && CanHaveXattr(entry.type, xattr.name);
    if (kept) data.xattrs.push_back(xattr);
  }
  return data;
}

absl::Status WorkIn(int dir_fd) {
  return fchdir(dir_fd) == 0 ? absl::OkStatus() : base::Errno("chdir", "");
}

absl::StatusOr<Metadata> ReadMetadata(int dir_fd, const std::string& name,
                                      const struct stat& info) {
  Metadata data = {info.st_mode & 07777, info.st_uid, info.st_gid, info.st_mtim, {}};
  if (S_ISLNK(info.st_mode)) return data;
  CRISP_RETURN_IF_ERROR(WorkIn(dir_fd));
  std::string names(XATTR_LIST_MAX, '\0');
  const ssize_t length = llistxattr(name.c_str(), names.data(), names.size());
  if (length < 0) return base::Errno("listxattr", "");
  names.resize(static_cast<size_t>(length));
  std::string value(XATTR_SIZE_MAX, '\0');
  for (absl::string_view key : absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    if (!KeepsXattr(key)) continue;
    const ssize_t size =
        lgetxattr(name.c_str(), std::string(key).c_str(), value.data(), value.size());
    if (size < 0) return base::Errno("getxattr", key);
    data.xattrs.push_back({std::string(key), value.substr(0, static_cast<size_t>(size))});
  }
  return data;
}

absl::Status ApplyMetadata(int dir_fd, const std::string& name, const Metadata& data,
                           mode_t file_type, Fresh fresh) {
  const bool owned = fresh.owned_by_root && data.uid == 0 && data.gid == 0;
  if (!owned && fchownat(dir_fd, name.c_str(), data.uid, data.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return base::Errno("chown", name);
  }
  if (!data.xattrs.empty()) CRISP_RETURN_IF_ERROR(WorkIn(dir_fd));
  for (const TarEntry::Xattr& xattr : data.xattrs) {
    if (lsetxattr(name.c_str(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) !=
        0) {
      CRISP_RETURN_IF_ERROR(XattrError(xattr.name, name));
    }
  }
  // A link has no mode, and fchmodat(2) would follow it.
  const bool mode_set = fresh.mode_set && (data.mode & kSpecialBits) == 0;
  if (file_type != S_IFLNK && !mode_set && fchmodat(dir_fd, name.c_str(), data.mode, 0) != 0) {
    return base::Errno("chmod", name);
  }
  const timespec times[2] = {data.mtime, data.mtime};
  if (utimensat(dir_fd, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return base::Errno("utimensat", name);
  }
  return absl::OkStatus();
}

absl::Status ApplyMetadata(int fd, const Metadata& data, Fresh fresh) {
  const bool owned = fresh.owned_by_root && data.uid == 0 && data.gid == 0;
  if (!owned && fchown(fd, data.uid, data.gid) != 0) return base::Errno("chown", "");
  for (const TarEntry::Xattr& xattr : data.xattrs) {
    if (fsetxattr(fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) != 0) {
      CRISP_RETURN_IF_ERROR(XattrError(xattr.name, ""));
    }
  }
  const bool mode_set = fresh.mode_set && (data.mode & kSpecialBits) == 0;
  if (!mode_set && fchmod(fd, data.mode) != 0) return base::Errno("chmod", "");
  const timespec times[2] = {data.mtime, data.mtime};
  if (futimens(fd, times) != 0) return base::Errno("utimensat", "");
  return absl::OkStatus();
}

absl::Status ApplyLinkMetadata(int dir_fd, const std::string& name, Metadata data,
                               const struct stat& info) {
  if (!S_ISREG(info.st_mode)) data.xattrs.clear();
  // chown(2) would take capabilities away that the entry may not repeat.
  const Fresh same = {.owned_by_root = info.st_uid == 0 && info.st_gid == 0, .mode_set = false};
  return ApplyMetadata(dir_fd, name, data, info.st_mode & S_IFMT, same);
}

absl::Status MakeParents(int root_fd, absl::string_view path, std::vector<std::string>& created) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd deepest, OpenDeepest(root_fd, path));
  struct stat before;
  if (fstat(deepest.get(), &before) != 0) return base::Errno("stat parent of", path);
  CRISP_RETURN_IF_ERROR(linux::MakeDirsInRoot(root_fd, path, 0755, &created).status());
  const timespec times[2] = {before.st_mtim, before.st_mtim};
  if (futimens(deepest.get(), times) != 0) return base::Errno("utimensat parent of", path);
  return absl::OkStatus();
}

}  // namespace crisp::snapshot
