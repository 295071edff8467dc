// Stops an unpack before it fills the file system for everybody else (disk, inode and sparse
// bombs).
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "snapshot/layer_writer.h"

namespace crisp::snapshot {

// One thread. Looks at statvfs(3) only every few MiB or few hundred inodes.
class SpaceGuard {
 public:
  // `fd` is any descriptor on the file system; borrowed.
  SpaceGuard(int fd, const UnpackLimits& limits) : fd_(fd), limits_(limits) {}

  // Announces bytes or inodes about to be used; kResourceExhausted naming the limit.
  absl::Status Spend(uint64_t bytes, uint64_t inodes);
  // Looks now.
  absl::Status Check();

 private:
  const int fd_;
  const UnpackLimits limits_;
  uint64_t bytes_ = 0;
  uint64_t inodes_ = 0;
};

}  // namespace crisp::snapshot
