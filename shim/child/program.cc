// The last steps before the program runs: its descriptors, its working directory, execve(2).
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/unique_fd.h"
#include "linux/syscalls.h"
#include "shim/child/step.h"

namespace crisp::shim {
namespace {

bool EnterWorkdir(Child& child) {
  const char* cwd = child.process.cwd.c_str();
  // Without magic links: "/proc/self/fd/7" could be a directory of the host (CVE-2024-21626).
  const base::UniqueFd directory(
      linux::OpenAt2(AT_FDCWD, cwd, O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_NO_MAGICLINKS));
  if (!directory.valid() || fchdir(directory.get()) != 0) return false;
  // A second check, however the path led there: a directory of the host has no path in this root.
  char name[PATH_MAX];
  const long length = linux::RawGetcwd(name, sizeof(name));
  if (length > 0 && name[0] == '/') return true;
  errno = length > 0 ? EXDEV : errno;
  return false;
}

}  // namespace

bool ApplyStdio(Child& child) {
  for (int i = 0; i < 3; ++i) {
    const int fd = child.process.terminal ? child.terminal : child.process.stdio[i];
    if (dup2(fd, i) < 0) return child.Fail("dup2");  // also clears O_CLOEXEC
  }
  if (!child.process.terminal || child.is_helper()) return true;
  return ioctl(0, TIOCSCTTY, 0) == 0 || child.Fail("controlling terminal");
}

bool ApplyWorkdir(Child& child) {
  if (EnterWorkdir(child)) return true;
  // Root may be refused where the container's user is not: without CAP_DAC_OVERRIDE, or on a
  // network file system that maps root to another user. ApplyWorkdirAsUser tries again.
  child.retry_workdir = errno == EACCES || errno == EPERM;
  return child.retry_workdir || child.Fail(child.process.cwd.c_str());
}

bool ApplyWorkdirAsUser(Child& child) {
  return !child.retry_workdir || EnterWorkdir(child) || child.Fail(child.process.cwd.c_str());
}

// O_CLOEXEC is not enough: execve opens the program and its interpreter before it closes
// descriptors, and the image chooses both paths ("/proc/self/fd/7/../..", CVE-2024-21626). Only the
// pipe whose end reports the exec stays open; no path leads through a pipe. A helper closes that
// too, so that the process inside does not inherit it: the shim waits for the helper's end.
bool ApplyDescriptors(Child& child) {
  if (child.is_helper()) return close_range(3, ~0u, 0) == 0 || child.Fail("close_range");
  const auto done = static_cast<unsigned>(child.process.done);
  const bool below = done <= 3 || close_range(3, done - 1, 0) == 0;
  return (below && close_range(done + 1, ~0u, 0) == 0) || child.Fail("close_range");
}

int ExecuteProgram(const ProcessPlan& process) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  int error = ENOENT;
  for (const std::string& program : process.programs) {
    execve(program.c_str(), process.argv.data(), process.envp.data());
    if (errno == EACCES)
      error = EACCES;  // as execvp(3): search on, and report it if no other program is found
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) continue;
    return errno;
  }
  return error;
}

bool ApplyProgram(Child& child) {
  ipc::Step step = ipc::Step::kExec;
  const int error = child.is_helper() ? RunInside(child, step) : ExecuteProgram(child.process);
  if (error == 0) return true;
  if (step != ipc::Step::kExec) {
    child.report.Begin(step);
    return child.Refuse(error, error == EAGAIN ? "is the pids limit reached?" : "");
  }
  const char* name = child.process.args[0].c_str();
  if (error == ENOENT && strchr(name, '/') == nullptr) {
    return child.Refuse(error, "\"", name, "\": executable file not found in $PATH");
  }
  char quoted[256];
  const size_t length = Fitting(name, sizeof(quoted) - 3);
  quoted[0] = '"';
  memcpy(quoted + 1, name, length);
  quoted[length + 1] = '"';
  quoted[length + 2] = '\0';
  return child.Refuse(error, quoted);
}

}  // namespace crisp::shim
