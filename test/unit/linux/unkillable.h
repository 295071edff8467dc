// A process that outlives SIGKILL until the test lets it end, as one in uninterruptible sleep does.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "linux/syscalls.h"

namespace crisp::test {

// The first process of a PID namespace ends only after all others in it have been reaped, and one
// of them is a child of the test.
class Unkillable {
 public:
  // Runs `in_child` in the process, which then waits. Without the right to make PID namespaces
  // valid() is false.
  explicit Unkillable(const std::function<void()>& in_child = [] {}) {
    pid_ = static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (pid_ < 0) return;
    if (pid_ == 0) {
      in_child();
      while (true) pause();
    }
    pidfd_.reset(linux::PidfdOpen(pid_));
    const base::UniqueFd own(open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC));
    const std::string path = "/proc/" + std::to_string(pid_) + "/ns/pid";
    const base::UniqueFd theirs(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (setns(theirs.get(), CLONE_NEWPID) != 0) return;
    other_ = fork();
    if (other_ == 0) _exit(0);
    setns(own.get(), CLONE_NEWPID);
    siginfo_t info;
    waitid(P_PID, static_cast<id_t>(other_), &info, WEXITED | WNOWAIT);
  }
  ~Unkillable() {
    Release();
    if (pid_ > 0) kill(pid_, SIGKILL);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);  // ECHILD when the code under test has reaped it
  }
  Unkillable(const Unkillable&) = delete;

  bool valid() const { return other_ > 0; }
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  // From here on it ends when it is killed.
  void Release() {
    if (other_ > 0) waitpid(other_, nullptr, 0);
    other_ = -1;
  }

 private:
  pid_t pid_ = -1;
  pid_t other_ = -1;
  base::UniqueFd pidfd_;
};

}  // namespace crisp::test
