// What a tree takes on disk. Plain values.
#pragma once

#include <cstdint>

namespace crisp::snapshot {

struct Usage {
  uint64_t bytes = 0;  // allocated on disk, a hard link counted once
  uint64_t inodes = 0;
};

struct MeasuredUsage {
  Usage usage;
  int64_t taken_at_ns = 0;  // wall clock
};

}  // namespace crisp::snapshot
