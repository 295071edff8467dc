// What one layer may use. Plain value.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace crisp::snapshot {

// Limits for one layer. kResourceExhausted names the exceeded limit.
struct UnpackLimits {
  // Unpacking stops when the file system has less free space than this (for users other than root).
  uint64_t min_free_bytes = uint64_t{256} << 20;
  uint64_t min_free_inodes = 1024;
  // Uncompressed bytes per compressed byte, checked after `ratio_from_bytes` uncompressed bytes.
  uint64_t max_ratio = 256;
  uint64_t ratio_from_bytes = uint64_t{256} << 20;
  // For all that is left once decoder and untarrer have got everything, which is at most 1 MiB of
  // the layer.
  absl::Duration last_bytes_time = absl::Minutes(10);
};

}  // namespace crisp::snapshot
