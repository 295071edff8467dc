#include "snapshot/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/errno.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace crisp::snapshot {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
using UniqueDir = std::unique_ptr<DIR, CloseDir>;

// The position to continue from after a sub-directory.
struct Level {
  dev_t dev;
  ino_t ino;
  long position;
};

class Walk {
 public:
  explicit Walk(Visit visit) : visit_(visit) {}

  absl::Status Run(int root_fd) {
    CRISP_RETURN_IF_ERROR(Enter(openat(root_fd, ".", kDirectoryFlags)));
    while (true) {
      const dirent* entry = readdir(dir_.get());
      if (entry == nullptr) {
        if (above_.empty()) return absl::OkStatus();
        CRISP_RETURN_IF_ERROR(Up());
      } else if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
        CRISP_RETURN_IF_ERROR(Child(entry->d_name));
      }
    }
  }

 private:
  absl::Status Enter(int fd) {
    base::UniqueFd owned(fd);
    if (!owned.valid()) return base::Errno("open directory", "");
    DIR* dir = fdopendir(owned.get());
    if (dir == nullptr) return base::Errno("open directory", "");
    (void)owned.release();
    dir_.reset(dir);
    return absl::OkStatus();
  }

  absl::Status Child(const char* name) {
    const int fd = dirfd(dir_.get());
    struct stat info;
    if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? absl::OkStatus() : base::Errno("stat", name);
    }
    visit_(fd, name, info);
    if (!S_ISDIR(info.st_mode)) return absl::OkStatus();
    base::UniqueFd child(openat(fd, name, kDirectoryFlags));
    if (!child.valid()) {
      const bool vanished = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
      return vanished ? absl::OkStatus() : base::Errno("open directory", name);
    }
    struct stat here;
    if (fstat(fd, &here) != 0) return base::Errno("stat directory above", name);
    above_.push_back({here.st_dev, here.st_ino, telldir(dir_.get())});
    return Enter(child.release());
  }

  // By "..", which is compared with the directory the walk came from. A descriptor per level would
  // let a deep tree use up all descriptors.
  absl::Status Up() {
    const Level level = above_.back();
    above_.pop_back();
    CRISP_RETURN_IF_ERROR(Enter(openat(dirfd(dir_.get()), "..", kDirectoryFlags)));
    struct stat here;
    if (fstat(dirfd(dir_.get()), &here) != 0) return base::Errno("stat", "..");
    if (here.st_dev != level.dev || here.st_ino != level.ino) {
      return absl::AbortedError("a directory was moved during the walk");
    }
    seekdir(dir_.get(), level.position);
    return absl::OkStatus();
  }

  const Visit visit_;
  UniqueDir dir_;
  std::vector<Level> above_;
};

}  // namespace

absl::Status WalkTree(int root_fd, Visit visit) { return Walk(visit).Run(root_fd); }

absl::StatusOr<Usage> MeasureTree(int root_fd) {
  constexpr uint64_t kBlock = 512;  // the unit of st_blocks
  Usage usage;
  double shared_bytes = 0;  // each link of a file adds its share, so no table of inodes is needed
  double shared_inodes = 0;
  auto count = [&](int, const char*, const struct stat& info) {
    const uint64_t bytes = static_cast<uint64_t>(info.st_blocks) * kBlock;
    if (S_ISDIR(info.st_mode) || info.st_nlink <= 1) {
      usage.bytes += bytes;
      ++usage.inodes;
    } else {
      shared_bytes += static_cast<double>(bytes) / static_cast<double>(info.st_nlink);
      shared_inodes += 1.0 / static_cast<double>(info.st_nlink);
    }
  };
  struct stat root;
  if (fstat(root_fd, &root) != 0) return base::Errno("stat", "");
  count(root_fd, ".", root);
  CRISP_RETURN_IF_ERROR(WalkTree(root_fd, count));
  usage.bytes += static_cast<uint64_t>(shared_bytes + 0.5);
  usage.inodes += static_cast<uint64_t>(shared_inodes + 0.5);
  return usage;
}

}  // namespace crisp::snapshot
