// For tests that must know that another thread has begun to wait.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>

#include <atomic>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace crisp::runtime {

// Until the thread has told its id and sleeps in futex(2), where absl's waits end. A lock that is
// only busy for a moment is waited for by nanosleep(2), so that does not count.
inline void AwaitFutex(const std::atomic<pid_t>& thread) {
  const std::string number = absl::StrCat(SYS_futex, " ");
  while (true) {
    const absl::StatusOr<std::string> call =
        base::ReadFile(absl::StrCat("/proc/self/task/", thread.load(), "/syscall"));
    if (call.ok() && absl::StartsWith(*call, number)) return;
    std::this_thread::yield();
  }
}

}  // namespace crisp::runtime
