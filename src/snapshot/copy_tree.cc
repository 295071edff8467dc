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
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "snapshot/tree_metadata.h"

namespace crisp::snapshot {
namespace {

constexpr Fresh kNothingSet = {};

struct CloseDirectory {
  void operator()(DIR* stream) const { closedir(stream); }
};
using Stream = std::unique_ptr<DIR, CloseDirectory>;

// Without a new access time of the source, which is shared by all containers of the image.
constexpr int kReadDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC;

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

}  // namespace

// One directory with all below it. Depth first, with one directory of each side open: the way back
// is "..", which is where it came from because nobody moves either tree.
class TreeCopier::Walk {
 public:
  Walk(TreeCopier& copier, const std::string& name, LeaveEmpty leave_empty)
      : copier_(copier), name_(name), leave_empty_(leave_empty) {}

  absl::Status Run(int from) {
    const absl::Status status = CopyAll(from);
    constexpr size_t kShown = 200;
    return path_.empty() ? status : base::Prefix(status, base::Printable(path_.substr(0, kShown)));
  }

 private:
  absl::Status CopyAll(int from) {
    CRISP_RETURN_IF_ERROR(Enter(from, ".", copier_.directory_, name_));
    while (true) {
      if (waiting_.size() > levels_.back()) {
        CRISP_RETURN_IF_ERROR(Down());
        continue;
      }
      // Last, as what is made in a directory changes its times.
      CRISP_ASSIGN_OR_RETURN(const Metadata data, MetadataOfOpen(from_.get()));
      CRISP_RETURN_IF_ERROR(ApplyMetadata(to_.get(), data, kNothingSet));
      levels_.pop_back();
      if (levels_.empty()) return absl::OkStatus();
      path_.resize(path_.rfind('/'));
      CRISP_RETURN_IF_ERROR(Open(from_.get(), "..", to_.get(), ".."));
    }
  }

  absl::Status Open(int from_parent, const std::string& from, int to_parent,
                    const std::string& to) {
    from_.reset(openat(from_parent, from.c_str(), kReadDirectory));
    if (!from_.valid()) return base::Errno("open", "");
    to_.reset(openat(to_parent, to.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return to_.valid() ? absl::OkStatus() : base::Errno("open the copy", "");
  }

  absl::Status Down() {
    waiting_.pop_back();                            // the NUL
    const size_t begin = waiting_.rfind('\0') + 1;  // npos + 1 is 0
    const std::string name = waiting_.substr(begin);
    waiting_.resize(begin);
    absl::StrAppend(&path_, "/", name);
    return Enter(from_.get(), name, to_.get(), name);
  }

  // Copies what is in a directory but its directories, which then wait.
  absl::Status Enter(int from_parent, const std::string& from, int to_parent,
                     const std::string& to) {
    CRISP_RETURN_IF_ERROR(Open(from_parent, from, to_parent, to));
    levels_.push_back(waiting_.size());
    CRISP_RETURN_IF_ERROR(KeepWithin());
    base::UniqueFd reader(openat(from_.get(), ".", kReadDirectory));
    if (!reader.valid()) return base::Errno("open", "");
    const Stream stream(fdopendir(reader.get()));
    if (stream == nullptr) return base::Errno("fdopendir", "");
    (void)reader.release();  // the stream's now
    errno = 0;
    while (const dirent* entry = readdir(stream.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..")
        CRISP_RETURN_IF_ERROR(base::Prefix(Entry(name), base::Printable(name)));
      errno = 0;
    }
    return errno == 0 ? absl::OkStatus() : base::Errno("readdir", "");
  }

  absl::Status Entry(const std::string& name) {
    CRISP_RETURN_IF_ERROR(copier_.proceed_());
    struct stat info;
    if (fstatat(from_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      return base::Errno("stat", "");
    if (IsWhiteout(info)) return absl::OkStatus();
    CRISP_RETURN_IF_ERROR(copier_.guard_.Spend(0, 1));
    const int to = to_.get();
    if (S_ISDIR(info.st_mode)) {
      if (mkdirat(to, name.c_str(), 0700) != 0) return base::Errno("mkdir", "");
      if (leave_empty_(absl::StrCat(path_, "/", name))) return absl::OkStatus();
      waiting_.append(name).push_back('\0');
      return KeepWithin();
    }
    if (info.st_nlink > 1) {
      const std::string path = absl::StrCat(name_, path_, "/", name);
      const auto [first, is_new] =
          copier_.links_.emplace(std::pair(info.st_dev, info.st_ino), path);
      if (!is_new) {
        const int linked = linkat(copier_.directory_, first->second.c_str(), to, name.c_str(), 0);
        return linked == 0 ? absl::OkStatus() : base::Errno("link", "");
      }
      constexpr size_t kNode = 96;  // of the map, about
      copier_.links_bytes_ += kNode + path.size();
      CRISP_RETURN_IF_ERROR(KeepWithin());
    }
    if (S_ISREG(info.st_mode)) return File(name, info.st_size);
    CRISP_RETURN_IF_ERROR(S_ISLNK(info.st_mode) ? Link(name) : Node(name, info));
    return ApplyMetadata(to, name, MetadataOfNode(info), info.st_mode & S_IFMT, kNothingSet);
  }

  absl::Status KeepWithin() const {
    const size_t kept =
        waiting_.size() + path_.size() + levels_.size() * sizeof(levels_[0]) + copier_.links_bytes_;
    if (kept <= kMaxKept) return absl::OkStatus();
    return absl::ResourceExhaustedError("has too many directories or hard links to be copied");
  }

  absl::Status File(const std::string& name, off_t size) {
    constexpr int kRead = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME;
    constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const base::UniqueFd from(openat(from_.get(), name.c_str(), kRead));
    if (!from.valid()) return base::Errno("open", "");
    const base::UniqueFd to(openat(to_.get(), name.c_str(), kNew, 0600));
    if (!to.valid()) return base::Errno("create", "");
    CRISP_ASSIGN_OR_RETURN(const Metadata data, MetadataOfOpen(from.get()));
    CRISP_RETURN_IF_ERROR(Content(from.get(), to.get(), size));
    return ApplyMetadata(to.get(), data, kNothingSet);
  }

  // Where the source has a hole, so has the copy.
  absl::Status Content(int from, int to, off_t size) {
    constexpr off_t kStep = 4 << 20;
    off_t begin = 0;
    while ((begin = lseek(from, begin, SEEK_DATA)) >= 0) {
      const off_t end = lseek(from, begin, SEEK_HOLE);
      if (end < 0 || lseek(to, begin, SEEK_SET) < 0) return base::Errno("seek", "");
      while (begin < end) {
        CRISP_RETURN_IF_ERROR(copier_.proceed_());
        const auto step = static_cast<size_t>(std::min(end - begin, kStep));
        CRISP_RETURN_IF_ERROR(copier_.guard_.Spend(step, 0));
        const ssize_t n = sendfile(to, from, &begin, step);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return base::Errno("copy", "", n == 0 ? EIO : errno);
      }
    }
    if (errno != ENXIO) return base::Errno("seek", "");  // ENXIO: no data up to the end
    return ftruncate(to, size) == 0 ? absl::OkStatus() : base::Errno("truncate", "");
  }

  absl::Status Link(const std::string& name) {
    char target[PATH_MAX];
    const ssize_t length = readlinkat(from_.get(), name.c_str(), target, sizeof(target) - 1);
    if (length < 0) return base::Errno("readlink", "");
    target[length] = '\0';
    const int made = symlinkat(target, to_.get(), name.c_str());
    return made == 0 ? absl::OkStatus() : base::Errno("symlink", "");
  }

  absl::Status Node(const std::string& name, const struct stat& info) {
    const mode_t mode = (info.st_mode & S_IFMT) | 0600;
    const int made = mknodat(to_.get(), name.c_str(), mode, info.st_rdev);
    return made == 0 ? absl::OkStatus() : base::Errno("mknod", "");
  }

  TreeCopier& copier_;
  const std::string name_;
  const LeaveEmpty leave_empty_;
  std::string path_;  // of the directories that are open: "", "/a", "/a/b"
  base::UniqueFd from_;
  base::UniqueFd to_;
  std::string waiting_;         // names with a NUL each, those of the deepest level last
  std::vector<size_t> levels_;  // where in `waiting_` the names of a level begin
};

absl::Status TreeCopier::Copy(int from, const std::string& name, LeaveEmpty leave_empty) {
  return Walk(*this, name, leave_empty).Run(from);
}

}  // namespace crisp::snapshot
