// Programs started by the multithreaded daemon (shims, CNI plugins): posix_spawn only, never fork.
// Every child gets exactly the arguments, environment and descriptors named here, an empty signal
// mask, default signal actions, "/" as working directory and a process group of its own.
// Thread-safe: no shared state. Nobody may wait for "any child" in a program that uses this.
// See posix_spawn(3), pidfd_open(2).
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
  std::vector<std::string> env;   // "NAME=value"; nothing of ours is added
};

// A started program. The owner must reap `pid` once (waitid on `pidfd`), else a zombie stays.
struct Child {
  pid_t pid = -1;  // also its process group
  base::UniqueFd pidfd;
};

// Starts `command`; descriptor fds[i] (borrowed) becomes descriptor i of the child, -1 means
// /dev/null, nothing else is open there. Errors: "spawn <path>: ENOENT".
absl::StatusOr<Child> Spawn(const Command& command, const std::vector<int>& fds);

struct RunLimits {
  base::Deadline deadline = {};
  size_t max_stdout = 1 << 20;   // bytes; more kills the program
  size_t max_stderr = 16 << 10;  // bytes kept; the rest is read and dropped
};

struct RunResult {
  int exit_code = 0;  // meaningful when signal is 0
  int signal = 0;     // the signal that ended it, or 0
  std::string out;
  std::string err;
};

// Runs `command` to its end with `input` as standard input. Its end is the death of the program
// itself: what it left behind in its process group is killed, whoever still holds its standard
// output is not waited for. kDeadlineExceeded "<path>: killed at the deadline" and
// kResourceExhausted (too much output) after the whole group was killed and the program reaped.
absl::StatusOr<RunResult> Run(const Command& command, absl::string_view input,
                              const RunLimits& limits);

}  // namespace crisp::linux
