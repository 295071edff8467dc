// A process named for good: a pid alone is reused by the kernel, {pid, start time} is not. Such a
// pair can be stored and is still right after a restart of crispd.
// Sources: pidfd_open(2), pidfd_send_signal(2), proc_pid_stat(5).
// Plain value; thread-safe: no shared state.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// Errors of all functions: kNotFound when the process is gone or its pid belongs to another one by
// now; kResourceExhausted without a free descriptor to find out.
struct ProcessRef {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat: clock ticks since boot

  // The process that has `pid` now. A zombie still has its pid.
  static absl::StatusOr<ProcessRef> Of(pid_t pid);

  // A pidfd that is certainly of this process.
  absl::StatusOr<base::UniqueFd> Open() const;
  // OK when the process is gone already.
  absl::Status Signal(int signal) const;
  // False for a zombie, and without a free descriptor to find out, so that checks fail closed.
  bool IsAlive() const;
  // An O_PATH descriptor of /proc/<pid>. Names opened below it never reach a process that gets the
  // pid later: they fail with ESRCH.
  absl::StatusOr<base::UniqueFd> OpenProcDirectory() const;
};

}  // namespace crisp::linux
