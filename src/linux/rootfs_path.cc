#include "linux/rootfs_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <deque>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::linux {
namespace {

constexpr int kMaxLinks = 40;  // the limit of path_resolution(7)

absl::StatusOr<base::UniqueFd> OpenResolved(int root_fd, absl::string_view path, int flags,
                                            mode_t mode, uint64_t resolve) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  const std::string name(path.empty() ? "." : path);
  if (name.find('\0') != std::string::npos) return base::Errno("openat2", name, EINVAL);
  // EAGAIN: there was a rename while the kernel followed "..", and the call must be repeated.
  constexpr int kTries = 128;
  for (int i = 0; i < kTries; ++i) {
    const long fd = syscall(SYS_openat2, root_fd, name.c_str(), &how, sizeof(how));
    if (fd >= 0) return base::UniqueFd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return base::Errno("openat2", path);
}

absl::StatusOr<std::string> ReadLink(int fd, absl::string_view path) {
  std::string target(PATH_MAX, '\0');
  const ssize_t n = readlinkat(fd, "", target.data(), target.size());
  if (n < 0) return base::Errno("readlink", path);
  target.resize(static_cast<size_t>(n));
  return target;
}

// Walks one component at a time; `done_` is the path of `current_` with all links resolved. Without
// a mode nothing is made, and `current_` is invalid where nothing is.
class Walker {
 public:
  Walker(int root_fd, absl::string_view path, std::optional<mode_t> mode,
         std::vector<std::string>* created = nullptr)
      : root_fd_(root_fd), path_(path), mode_(mode), created_(created) {}

  absl::Status Walk() {
    CRISP_RETURN_IF_ERROR(Restart());
    PushFront(path_);
    while (!todo_.empty()) {
      const std::string name = std::move(todo_.front());
      todo_.pop_front();
      if (name.empty() || name == ".") continue;
      CRISP_RETURN_IF_ERROR(name == ".." ? Up() : Down(name));
    }
    return absl::OkStatus();
  }

  base::UniqueFd TakeDirectory() { return std::move(current_); }
  std::string Path() const { return absl::StrCat("/", absl::StrJoin(done_, "/")); }

 private:
  absl::Status Restart() {
    const std::string name = done_.empty() ? "." : absl::StrJoin(done_, "/");
    absl::StatusOr<base::UniqueFd> fd = OpenInRoot(root_fd_, name, O_PATH | O_DIRECTORY);
    const bool missing = !mode_.has_value() && absl::IsNotFound(fd.status());
    if (!fd.ok() && !missing) return fd.status();
    current_ = missing ? base::UniqueFd() : *std::move(fd);
    return absl::OkStatus();
  }

  void PushFront(absl::string_view path) {
    const std::vector<std::string> names = absl::StrSplit(path, '/');
    todo_.insert(todo_.begin(), names.begin(), names.end());
  }

  // Not openat(".."): the directory may have been moved since, even out of the root.
  absl::Status Up() {
    if (!done_.empty()) done_.pop_back();
    return Restart();
  }

  absl::Status Down(const std::string& name) {
    base::UniqueFd next;
    if (current_.valid()) {
      CRISP_ASSIGN_OR_RETURN(next, OpenOrMake(name));
    }
    if (!next.valid()) {
      current_.reset();
      done_.push_back(name);
      return absl::OkStatus();
    }
    struct stat info;
    if (fstat(next.get(), &info) != 0) return base::Errno("stat", path_);
    if (S_ISLNK(info.st_mode)) return Follow(next.get());
    if (!S_ISDIR(info.st_mode)) return base::Errno("mkdir", path_, ENOTDIR);
    current_ = std::move(next);
    done_.push_back(name);
    return absl::OkStatus();
  }

  absl::StatusOr<base::UniqueFd> OpenOrMake(const std::string& name) {
    constexpr int kFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    base::UniqueFd fd(openat(current_.get(), name.c_str(), kFlags));
    if (fd.valid()) return fd;
    if (errno != ENOENT) return base::Errno("open", path_);
    if (!mode_.has_value()) return fd;
    if (mkdirat(current_.get(), name.c_str(), *mode_) == 0) {
      if (created_ != nullptr) {
        done_.push_back(name);
        created_->push_back(absl::StrJoin(done_, "/"));
        done_.pop_back();
      }
    } else if (errno != EEXIST) {
      return base::Errno("mkdir", path_);
    }
    fd.reset(openat(current_.get(), name.c_str(), kFlags));
    if (!fd.valid()) return base::Errno("open", path_);
    return fd;
  }

  absl::Status Follow(int link_fd) {
    if (++links_ > kMaxLinks) return base::Errno("mkdir", path_, ELOOP);
    CRISP_ASSIGN_OR_RETURN(const std::string target, ReadLink(link_fd, path_));
    PushFront(target);
    if (target[0] != '/') return absl::OkStatus();
    done_.clear();
    return Restart();
  }

  const int root_fd_;
  const absl::string_view path_;
  const std::optional<mode_t> mode_;
  std::vector<std::string>* const created_;
  base::UniqueFd current_;
  std::vector<std::string> done_;
  std::deque<std::string> todo_;
  int links_ = 0;
};

}  // namespace

absl::StatusOr<base::UniqueFd> OpenInRoot(int root_fd, absl::string_view path, int flags,
                                          mode_t mode) {
  return OpenResolved(root_fd, path, flags, mode, RESOLVE_IN_ROOT);
}

absl::StatusOr<base::UniqueFd> OpenBeneath(int root_fd, absl::string_view path, int flags,
                                           mode_t mode) {
  return OpenResolved(root_fd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

absl::StatusOr<base::UniqueFd> MakeDirsInRoot(int root_fd, absl::string_view path, mode_t mode,
                                              std::vector<std::string>* created) {
  if (path.find('\0') != absl::string_view::npos) return base::Errno("mkdir", path, EINVAL);
  Walker walker(root_fd, path, mode, created);
  CRISP_RETURN_IF_ERROR(walker.Walk());
  return walker.TakeDirectory();
}

absl::StatusOr<std::string> ResolveInRoot(int root_fd, absl::string_view path) {
  if (path.find('\0') != absl::string_view::npos) return base::Errno("resolve", path, EINVAL);
  Walker walker(root_fd, path, std::nullopt);
  CRISP_RETURN_IF_ERROR(walker.Walk());
  return walker.Path();
}

}  // namespace crisp::linux
