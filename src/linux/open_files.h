// What processes have open, as /proc shows it. Thread-safe: no shared state.
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

// Of all the processes together, shared descriptors counted once per process. A process may open as
// many as it likes: only the first `max_descriptors` are looked at, the rest is not counted.
OpenFiles CountOpenFiles(const std::vector<pid_t>& pids, uint64_t max_descriptors = 65536);

// Soft RLIMIT_NOFILE of a process; absent when it is gone or has no limit.
std::optional<uint64_t> MaxOpenFiles(pid_t pid);

}  // namespace crisp::linux
