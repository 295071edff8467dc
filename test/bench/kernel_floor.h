// Measures what the kernel alone needs for a container: clone3(2) with all namespaces but the
// user's, an overlay mount, pivot_root(2) and execve(2) of a static program. A helper process
// measures it, because the benchmark itself has gRPC's threads. Failures throw std::runtime_error.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.h"

namespace crisp::bench {

// Measures it once, in milliseconds.
using Floor = std::function<double()>;

class KernelFloor {
 public:
  // Forks the helper, so it must be made before any thread is started.
  KernelFloor();
  ~KernelFloor();
  KernelFloor(const KernelFloor&) = delete;
  KernelFloor& operator=(const KernelFloor&) = delete;

  // Nanoseconds from clone3 until /static_true of `rootfs` was executed. `dir` is an existing
  // directory for the writable layer, which is new for each call; the caller removes both.
  int64_t Measure(const std::string& rootfs, const std::string& dir);

 private:
  base::UniqueFd socket_;
  pid_t pid_ = 0;
  int calls_ = 0;
};

}  // namespace crisp::bench
