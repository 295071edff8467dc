// Linux system calls that glibc 2.36 does not wrap, as plain functions: -1 and errno on failure. No
// allocation and no Abseil, so that they may be called between clone3(2) and execve(2).
// Thread-safe.
#pragma once

#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

namespace crisp::linux {

// openat2(2), Linux 5.6.
inline int OpenAt2(int dir_fd, const char* path, uint64_t flags, uint64_t resolve,
                   uint64_t mode = 0) {
  open_how how = {};
  how.flags = flags;
  how.mode = mode;
  how.resolve = resolve;
  return static_cast<int>(syscall(SYS_openat2, dir_fd, path, &how, sizeof(how)));
}

// clone3(2), Linux 5.3 (CLONE_INTO_CGROUP 5.7). Without CLONE_VM the child returns from the call,
// too, on a copy of the caller's stack. glibc does not know of this child, which must not use what
// glibc caches per thread.
inline pid_t Clone3(clone_args& args) {
  return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
}

// pidfd_open(2), Linux 5.3. glibc 2.36 has it, but its header lacks extern "C".
inline int PidfdOpen(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

// pidfd_send_signal(2), Linux 5.1. The same header problem.
inline int SendSignal(int pidfd, int signal) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

inline int PivotRoot(const char* new_root, const char* put_old) {
  return static_cast<int>(syscall(SYS_pivot_root, new_root, put_old));
}

// getcwd(2) as the kernel answers it: "(unreachable)/..." when the directory is outside the root,
// which glibc hides. Returns the length with the terminating NUL.
inline long RawGetcwd(char* buffer, size_t size) { return syscall(SYS_getcwd, buffer, size); }

}  // namespace crisp::linux
