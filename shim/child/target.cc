#include "shim/child/target.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cstring>

#include "base/unique_fd.h"
#include "linux/syscalls.h"

namespace crisp::shim {
namespace {

constexpr uint64_t kInside = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
constexpr int kMaxLinks = 40;
constexpr int kMaxRaces = 32;

// Walks from the root, component by component, and creates what is missing. Each component is
// opened below the descriptor of the one before, and links are followed by hand, so a tree that
// changes meanwhile cannot lead out of the root. `done_` is the path so far, without links; ".."
// needs it.
class Walk {
 public:
  Walk(int root, TargetType type) : root_(root), type_(type) {}

  int To(const char* path) {
    if (strlen(path) >= sizeof(rest_)) return Error(ENAMETOOLONG);
    strcpy(rest_, path);
    if (!Restart()) return -1;
    while (NextName()) {
      if (strcmp(name_, ".") == 0) continue;
      if (!(strcmp(name_, "..") == 0 ? GoUp() : GoDown())) return -1;
    }
    return here_.release();
  }

 private:
  int Error(int error) {
    errno = error;
    return -1;
  }

  bool Restart() {
    done_[0] = '\0';
    here_.reset(openat(root_, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    return here_.valid();
  }

  // Takes the first component of rest_ into name_; false at the end.
  bool NextName() {
    const char* begin = rest_ + strspn(rest_, "/");
    const size_t length = strcspn(begin, "/");
    if (length == 0) return false;
    if (length > NAME_MAX) {
      // Replaced by a shorter name that is still too long: the kernel answers ENAMETOOLONG.
      memset(name_, 'x', NAME_MAX + 1);
      name_[NAME_MAX + 1] = '\0';
    } else {
      memcpy(name_, begin, length);
      name_[length] = '\0';
    }
    memmove(rest_, begin + length, strlen(begin + length) + 1);
    return true;
  }

  bool IsLast() const { return rest_[strspn(rest_, "/")] == '\0'; }

  bool GoUp() {
    char* slash = strrchr(done_, '/');
    if (slash != nullptr) *slash = '\0';
    here_.reset(linux::OpenAt2(root_, done_[0] == '\0' ? "." : done_ + 1,
                               O_PATH | O_DIRECTORY | O_CLOEXEC,
                               RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS));
    return here_.valid();
  }

  bool GoDown() {
    base::UniqueFd next(openat(here_.get(), name_, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid() && errno == ENOENT) next.reset(Make());
    struct stat info;
    if (!next.valid() || fstat(next.get(), &info) != 0) return false;
    if (S_ISLNK(info.st_mode)) return Follow(next.get());
    const bool want_directory = !IsLast() || type_ == TargetType::kDirectory;
    if (want_directory != S_ISDIR(info.st_mode))
      return Error(want_directory ? ENOTDIR : EISDIR) == 0;
    if (strlen(done_) + strlen(name_) + 2 > sizeof(done_)) return Error(ENAMETOOLONG) == 0;
    strcat(strcat(done_, "/"), name_);
    here_ = std::move(next);
    return true;
  }

  int Make() {
    if (IsLast() && type_ == TargetType::kFile) {
      const base::UniqueFd made(
          openat(here_.get(), name_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
      if (!made.valid() && errno != EEXIST) return -1;
    } else if (mkdirat(here_.get(), name_, 0755) != 0 && errno != EEXIST) {
      return -1;
    }
    return openat(here_.get(), name_, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  }

  // Inserts the link's target before the rest of the path.
  bool Follow(int link) {
    if (++links_ > kMaxLinks || IsOnFilesystem(link, PROC_SUPER_MAGIC)) return Error(ELOOP) == 0;
    char target[PATH_MAX];
    const ssize_t length = readlinkat(link, "", target, sizeof(target));
    if (length < 0) return false;
    const size_t used = static_cast<size_t>(length);
    const size_t rest = strlen(rest_);
    if (used == sizeof(target) || used + rest + 2 > sizeof(rest_)) return Error(ENAMETOOLONG) == 0;
    memmove(rest_ + used + 1, rest_, rest + 1);
    memcpy(rest_, target, used);
    rest_[used] = '/';
    return target[0] != '/' || Restart();
  }

  const int root_;
  const TargetType type_;
  base::UniqueFd here_;
  int links_ = 0;
  char name_[NAME_MAX + 2];
  char rest_[2 * PATH_MAX];
  char done_[PATH_MAX];
};

}  // namespace

int OpenInside(int root, const char* path) {
  int fd = -1;
  for (int i = 0; i < kMaxRaces; ++i) {
    // EAGAIN: a rename happened meanwhile and the kernel cannot tell that ".." stayed inside the
    // root.
    fd = linux::OpenAt2(root, path, O_PATH | O_CLOEXEC, kInside);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return fd;
}

int OpenOrMakeInside(int root, const char* path, TargetType type) {
  base::UniqueFd fd(OpenInside(root, path));
  if (!fd.valid()) {
    if (errno != ENOENT) return -1;
    Walk walk(root, type);
    return walk.To(path);
  }
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return -1;
  if (S_ISDIR(info.st_mode) != (type == TargetType::kDirectory)) {
    errno = S_ISDIR(info.st_mode) ? EISDIR : ENOTDIR;
    return -1;
  }
  return fd.release();
}

bool AttachTree(int tree, int target) {
  return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

bool IsOnFilesystem(int fd, long type) {
  struct statfs info;
  return fstatfs(fd, &info) == 0 && info.f_type == type;
}

}  // namespace crisp::shim
