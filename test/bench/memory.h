// Memory of processes, from the kernel (proc_pid_smaps_rollup(5), proc_pid_status(5)).
// Failures throw std::runtime_error.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace crisp::bench {

struct Memory {  // KiB
  int64_t pss = 0;
  int64_t private_ = 0;  // clean and dirty pages that no other process maps
  int64_t rss = 0;
};

Memory MemoryOf(pid_t pid);
pid_t ParentOf(pid_t pid);
// Whether the process has installed a handler for the signal.
bool Catches(pid_t pid, int signal);

}  // namespace crisp::bench
