// Counts what processes have open, from /proc/<pid>/fd (proc(5)). Thread-safe: no shared state.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace crisp::linux {

struct OpenFiles {
  uint64_t descriptors = 0;
  uint64_t sockets = 0;  // of them
};

// The sum over all processes. Stops counting after `max_descriptors`, because a container can open
// any number of them and the count must stay cheap.
OpenFiles CountOpenFiles(const std::vector<pid_t>& pids, uint64_t max_descriptors = 65536);

// Raises this process's soft RLIMIT_NOFILE to the hard one, as far as the kernel lets it.
void RaiseMaxOpenFiles();

// Soft RLIMIT_NOFILE of a process; absent when it is gone or has no limit.
std::optional<uint64_t> MaxOpenFiles(pid_t pid);

}  // namespace crisp::linux
