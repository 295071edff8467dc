// A pipe(2) whose ends are owned; both O_CLOEXEC.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include "absl/status/statusor.h"
#include "base/errno.h"
#include "base/unique_fd.h"

namespace crisp::linux {

struct Pipe {
  base::UniqueFd read;
  base::UniqueFd write;
};

inline absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return base::Errno("pipe", "");
  return Pipe{base::UniqueFd(fds[0]), base::UniqueFd(fds[1])};
}

}  // namespace crisp::linux
