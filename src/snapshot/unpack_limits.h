// What one layer may use. Plain value.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace crisp::snapshot {

// Limits for one layer. kResourceExhausted names the exceeded limit. By which factor a layer grows
// when it is decompressed is not limited: real ones have hundreds of megabytes of zeros
// (/var/log/lastlog of a user with a large id). The free space bounds what is written. The rest
// (contents of entries that are skipped, files that later entries replace, bytes behind the
// archive) costs time only, and `max_plain_bytes` bounds it.
struct UnpackLimits {
  // Of the decompressed layer; the size of the file system if that is less.
  uint64_t max_plain_bytes = UINT64_MAX;
  // Unpacking stops when the file system has less free space than this (for users other than root).
  uint64_t min_free_bytes = uint64_t{256} << 20;
  uint64_t min_free_inodes = 1024;
  // For all that is left once decoder and untarrer have got everything, which is at most 1 MiB of
  // the layer.
  absl::Duration last_bytes_time = absl::Minutes(10);
};

}  // namespace crisp::snapshot
