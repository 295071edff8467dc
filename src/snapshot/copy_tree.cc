#include "snapshot/copy_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "linux/rootfs_path.h"
#include "snapshot/tree_metadata.h"

namespace crisp::snapshot {
namespace {

constexpr Fresh kNothingSet = {};

struct CloseDirectory {
  void operator()(DIR* stream) const { closedir(stream); }
};
using Stream = std::unique_ptr<DIR, CloseDirectory>;

// Without a new access time of the source, which is shared by all containers of the image.
constexpr int kReadDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME;

Metadata MetadataOfNode(const struct stat& info) {
  return {info.st_mode & 07777, info.st_uid, info.st_gid, info.st_mtim, {}};
}

// Of an open file or directory.
absl::StatusOr<Metadata> MetadataOfOpen(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return base::Errno("stat", "");
  Metadata data = MetadataOfNode(info);
  std::string names(XATTR_LIST_MAX, '\0');
  const ssize_t length = flistxattr(fd, names.data(), names.size());
  if (length < 0 && errno == EOPNOTSUPP) return data;
  if (length < 0) return base::Errno("listxattr", "");
  names.resize(static_cast<size_t>(length));
  for (const absl::string_view view : absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    const std::string name(view);
    if (!KeepsXattr(name)) continue;
    std::string value(XATTR_SIZE_MAX, '\0');
    const ssize_t size = fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (size < 0) return base::Errno("getxattr", name);
    value.resize(static_cast<size_t>(size));
    data.xattrs.push_back({name, std::move(value)});
  }
  return data;
}

// Where the source has a hole, so has the copy.
absl::Status CopyContent(int from, int to, off_t size, SpaceGuard& guard) {
  constexpr off_t kStep = 4 << 20;
  off_t begin = 0;
  while ((begin = lseek(from, begin, SEEK_DATA)) >= 0) {
    const off_t end = lseek(from, begin, SEEK_HOLE);
    if (end < 0 || lseek(to, begin, SEEK_SET) < 0) return base::Errno("seek", "");
    while (begin < end) {
      const auto step = static_cast<size_t>(std::min(end - begin, kStep));
      CRISP_RETURN_IF_ERROR(guard.Spend(step, 0));
      const ssize_t n = sendfile(to, from, &begin, step);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return base::Errno("copy", "", n == 0 ? EIO : errno);
    }
  }
  if (errno != ENXIO) return base::Errno("seek", "");  // ENXIO: no data up to the end
  return ftruncate(to, size) == 0 ? absl::OkStatus() : base::Errno("truncate", "");
}

class Copy {
 public:
  Copy(int from, int to, SpaceGuard& guard) : from_root_(from), to_root_(to), guard_(guard) {}

  absl::Status Run() {
    // By its path each time: a descriptor for every level would be too many in a deep tree.
    for (todo_ = {"."}; !todo_.empty();) {
      const std::string path = std::move(todo_.back());
      todo_.pop_back();
      CRISP_RETURN_IF_ERROR(base::Prefix(Directory(path), path));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Directory(const std::string& path) {
    CRISP_ASSIGN_OR_RETURN(base::UniqueFd from,
                           linux::OpenBeneath(from_root_, path, kReadDirectory));
    CRISP_ASSIGN_OR_RETURN(const base::UniqueFd to,
                           linux::OpenBeneath(to_root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    CRISP_ASSIGN_OR_RETURN(const Metadata data, MetadataOfOpen(from.get()));
    const Stream stream(fdopendir(from.get()));
    if (stream == nullptr) return base::Errno("fdopendir", "");
    const int from_fd = from.release();  // the stream's now
    errno = 0;
    while (const dirent* entry = readdir(stream.get())) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      const std::string below = path == "." ? name : base::JoinPath(path, name);
      CRISP_RETURN_IF_ERROR(base::Prefix(Entry(from_fd, to.get(), name, below), name));
      errno = 0;
    }
    if (errno != 0) return base::Errno("readdir", "");
    return ApplyMetadata(to.get(), data, kNothingSet);
  }

  absl::Status Entry(int from, int to, const std::string& name, const std::string& path) {
    struct stat info;
    if (fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      return base::Errno("stat", "");
    if (IsWhiteout(info)) return absl::OkStatus();
    CRISP_RETURN_IF_ERROR(guard_.Spend(0, 1));
    if (S_ISDIR(info.st_mode)) {
      todo_.push_back(path);
      return mkdirat(to, name.c_str(), 0700) == 0 ? absl::OkStatus() : base::Errno("mkdir", "");
    }
    if (info.st_nlink > 1) {
      const auto [first, is_new] = links_.emplace(std::pair(info.st_dev, info.st_ino), path);
      if (!is_new) {
        const int linked = linkat(to_root_, first->second.c_str(), to, name.c_str(), 0);
        return linked == 0 ? absl::OkStatus() : base::Errno("link", "");
      }
    }
    if (S_ISREG(info.st_mode)) return File(from, to, name, info.st_size);
    CRISP_RETURN_IF_ERROR(S_ISLNK(info.st_mode) ? Link(from, to, name) : Node(to, name, info));
    return ApplyMetadata(to, name, MetadataOfNode(info), info.st_mode & S_IFMT, kNothingSet);
  }

  absl::Status File(int from_dir, int to_dir, const std::string& name, off_t size) {
    constexpr int kRead = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME;
    constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const base::UniqueFd from(openat(from_dir, name.c_str(), kRead));
    if (!from.valid()) return base::Errno("open", "");
    const base::UniqueFd to(openat(to_dir, name.c_str(), kNew, 0600));
    if (!to.valid()) return base::Errno("create", "");
    CRISP_ASSIGN_OR_RETURN(const Metadata data, MetadataOfOpen(from.get()));
    CRISP_RETURN_IF_ERROR(CopyContent(from.get(), to.get(), size, guard_));
    return ApplyMetadata(to.get(), data, kNothingSet);
  }

  static absl::Status Link(int from, int to, const std::string& name) {
    char target[PATH_MAX];
    const ssize_t length = readlinkat(from, name.c_str(), target, sizeof(target) - 1);
    if (length < 0) return base::Errno("readlink", "");
    target[length] = '\0';
    return symlinkat(target, to, name.c_str()) == 0 ? absl::OkStatus() : base::Errno("symlink", "");
  }

  static absl::Status Node(int to, const std::string& name, const struct stat& info) {
    const mode_t mode = (info.st_mode & S_IFMT) | 0600;
    return mknodat(to, name.c_str(), mode, info.st_rdev) == 0 ? absl::OkStatus()
                                                              : base::Errno("mknod", "");
  }

  const int from_root_;
  const int to_root_;
  SpaceGuard& guard_;
  std::vector<std::string> todo_;  // directories, relative to both roots
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

absl::Status CopyTree(int from, int to, SpaceGuard& guard) { return Copy(from, to, guard).Run(); }

}  // namespace crisp::snapshot
