// What one layer may use. Plain value.
#pragma once

#include <cstdint>

namespace crisp::snapshot {

// Limits for one layer. kResourceExhausted names the exceeded limit. How much a layer grows by
// decompression is not limited: real ones have hundreds of megabytes of zeros (/var/log/lastlog of
// a user with a large id), and the free space bounds all.
struct UnpackLimits {
  // Unpacking stops when the file system has less free space than this (for users other than root).
  uint64_t min_free_bytes = uint64_t{256} << 20;
  uint64_t min_free_inodes = 1024;
};

}  // namespace crisp::snapshot
