// Starts programs from the multithreaded crispd (shims, CNI plugins), without copying its memory.
// A child gets exactly the given arguments, environment and descriptors, an empty signal mask,
// default signal actions, "/" as working directory, umask 0022 and a session of its own.
// Thread-safe: no shared state. A program that uses this must not wait for "any child"
// (waitpid(-1)). See clone3(2), vfork(2).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "base/unique_fd.h"

namespace crisp::linux {

struct Command {
  std::string path;               // absolute; PATH is not searched
  std::vector<std::string> args;  // argv, the program's name first
  std::vector<std::string> env;   // "NAME=value"; nothing is added
  int cgroup = -1;                // a cgroup2 directory to start in, borrowed; -1: the caller's
};

// A started program. The caller owns it and must reap it once (reap.h), or a zombie stays.
struct Child {
  pid_t pid = -1;  // also its process group and session
  base::UniqueFd pidfd;
};

// Starts `command`; descriptor fds[i] (borrowed) becomes descriptor i of the child, -1 means
// /dev/null; no other descriptor is open there. Errors: "spawn <path>: ENOENT".
absl::StatusOr<Child> Spawn(const Command& command, const std::vector<int>& fds);

struct RunLimits {
  base::Deadline deadline = {};
  size_t max_stdout = 1 << 20;   // bytes; a program that writes more is killed
  size_t max_stderr = 16 << 10;  // bytes that are kept; the rest is read and dropped
};

struct RunResult {
  int exit_code = 0;  // meaningful when signal is 0
  int signal = 0;     // the signal that ended it, or 0
  std::string out;
  std::string err;
};

// Runs `command` with `input` as standard input until the program itself has exited. Processes that
// it left in its process group are killed; processes that still hold its standard output are not
// waited for. kDeadlineExceeded "<path>: killed at the deadline" and kResourceExhausted (too much
// output) are returned after the whole group was killed; the program is reaped (reap.h) unless it
// outlives SIGKILL for five seconds.
absl::StatusOr<RunResult> Run(const Command& command, absl::string_view input,
                              const RunLimits& limits);

}  // namespace crisp::linux
