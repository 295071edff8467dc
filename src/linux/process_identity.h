// Who a pid is: {pid, start time} names a process for ever, a pid alone only until it is reused.
// See proc_pid_stat(5). Thread-safe: no shared state.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// Field 22 of /proc/<pid>/stat: clock ticks since boot at which the process started. Works for a
// zombie too. kNotFound when there is no such process.
absl::StatusOr<uint64_t> StartTicks(pid_t pid);

// An O_PATH descriptor of /proc/<pid> of exactly the process that started at `start_ticks`; names
// below it never reach a process that got the same pid later (they fail with ESRCH). kNotFound when
// it is gone or the pid means another one.
absl::StatusOr<base::UniqueFd> OpenProcDirectory(pid_t pid, uint64_t start_ticks);

}  // namespace crisp::linux
