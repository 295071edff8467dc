// A running pause for tests: started by fork or in a new PID namespace, killed at scope end.
// Linux only, single-threaded, every wait is bounded by kPatience. Proc files: proc(5).
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <functional>

namespace crisp::pause_test {

inline constexpr std::chrono::seconds kPatience{10};

// Asks again every millisecond until `condition` holds; false after kPatience. For facts the kernel
// changes without an event one could wait for (a zombie collected by somebody else).
bool Eventually(const std::function<bool()>& condition);

// Processes whose parent is `pid`, zombies included, as /proc shows them.
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
  // Sends `signal`, returns the exit status: 128 + n when signal n killed it, -1 after kPatience.
  int EndWith(int signal);

 private:
  pid_t pid_;
};

}  // namespace crisp::pause_test
