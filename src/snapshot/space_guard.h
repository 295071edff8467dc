// Stops the unpacking of a layer before the file system is full (disk, inode and sparse bombs).
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "snapshot/unpack_limits.h"

namespace crisp::snapshot {

// One thread. Calls statvfs(3) only every few MiB or few hundred inodes.
class SpaceGuard {
 public:
  // `fd` is a descriptor of any file on the file system; borrowed.
  SpaceGuard(int fd, const UnpackLimits& limits) : fd_(fd), limits_(limits) {}

  // To be called before bytes or inodes are used. kResourceExhausted names the limit.
  absl::Status Spend(uint64_t bytes, uint64_t inodes);
  // Checks now.
  absl::Status Check();

 private:
  const int fd_;
  const UnpackLimits limits_;
  uint64_t bytes_ = 0;
  uint64_t inodes_ = 0;
};

}  // namespace crisp::snapshot
