// A running pause for tests, started by fork or in a new PID namespace and killed by the
// destructor. For single-threaded tests; every wait is bounded by kPatience. Source: proc(5).
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <functional>

namespace crisp::pause_test {

inline constexpr std::chrono::seconds kPatience{10};

// Checks `condition` every millisecond until it holds; false after kPatience. For changes that the
// kernel does not announce, such as a zombie being reaped by another process.
bool Eventually(const std::function<bool()>& condition);

// The processes whose parent is `pid`, including zombies, from /proc.
int CountChildren(pid_t pid);

class PauseProcess {
 public:
  // Forks (clone_flags: CLONE_NEWPID or 0), runs `before_exec` in the child, then execs pause.
  // pid() is -1 when clone fails (errno is kept). The child dies with the test.
  explicit PauseProcess(
      int clone_flags = 0, const std::function<void()>& before_exec = [] {});
  ~PauseProcess();
  PauseProcess(const PauseProcess&) = delete;
  PauseProcess& operator=(const PauseProcess&) = delete;

  pid_t pid() const { return pid_; }
  // True once pause sleeps in rt_sigtimedwait.
  bool Waiting() const;
  // Sends `signal` and returns the exit status: 128 + n when signal n killed it, -1 after
  // kPatience.
  int EndWith(int signal);

 private:
  pid_t pid_;
};

}  // namespace crisp::pause_test
