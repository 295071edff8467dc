#include "snapshot/space_guard.h"

#include <sys/statvfs.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"

namespace crisp::snapshot {
namespace {

constexpr uint64_t kBytesBetweenLooks = 8 << 20;
constexpr uint64_t kInodesBetweenLooks = 256;

absl::Status TooLittle(const char* what, uint64_t left, uint64_t reserve) {
  return absl::ResourceExhaustedError(
      absl::StrCat("file system has ", left, " ", what, " left, ", reserve, " must stay free"));
}

}  // namespace

absl::Status SpaceGuard::Spend(uint64_t bytes, uint64_t inodes) {
  bytes_ += bytes;
  inodes_ += inodes;
  if (bytes_ < kBytesBetweenLooks && inodes_ < kInodesBetweenLooks) return absl::OkStatus();
  return Check();
}

absl::Status SpaceGuard::Check() {
  bytes_ = 0;
  inodes_ = 0;
  struct statvfs now;
  if (fstatvfs(fd_, &now) != 0) return base::Errno("statvfs", "");
  const uint64_t free_bytes = uint64_t{now.f_bavail} * now.f_frsize;
  if (free_bytes < limits_.min_free_bytes) {
    return TooLittle("bytes", free_bytes, limits_.min_free_bytes);
  }
  // File systems without an inode table (btrfs) report 0 inodes in total.
  if (now.f_files != 0 && now.f_favail < limits_.min_free_inodes) {
    return TooLittle("inodes", now.f_favail, limits_.min_free_inodes);
  }
  return absl::OkStatus();
}

}  // namespace crisp::snapshot
