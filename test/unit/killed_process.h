// Ends a piece of work at each of the moments at which a kill or the death of the host could: for
// tests that the next call, or the next start, finishes what was cut short.
//
// The work runs in a process of its own, forked from the test, which is traced and killed before it
// changes anything for the n-th time, for every n until it ends by itself. A "change" is a system
// call that succeeds and is not known to leave disk and kernel as they are, so a new one counts by
// itself.
//
// The test must have no other threads (they do not live on in the child), so the work makes its
// stores itself. Threads that the work starts are not counted, but are killed with it. What the
// work had written is what the test then finds: like a kill, and unlike a power cut, nothing is
// lost that was not synced. Source: ptrace(2).
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>

namespace crisp::test {

// Whether the system call that a traced process is about to make may change something.
inline bool IsChange(const __ptrace_syscall_info& info) {
  static constexpr uint64_t kHarmless[] = {
      SYS_read,          SYS_pread64,   SYS_close,      SYS_lseek,       SYS_fstat,
      SYS_newfstatat,    SYS_statx,     SYS_fstatfs,    SYS_statfs,      SYS_faccessat,
      SYS_faccessat2,    SYS_fcntl,     SYS_getdents64, SYS_readlinkat,  SYS_fgetxattr,
      SYS_mmap,          SYS_munmap,    SYS_mremap,     SYS_mprotect,    SYS_madvise,
      SYS_brk,           SYS_futex,     SYS_getrandom,  SYS_getpid,      SYS_gettid,
      SYS_getuid,        SYS_geteuid,   SYS_umask,      SYS_sched_yield, SYS_rt_sigprocmask,
      SYS_clock_gettime, SYS_prlimit64, SYS_ppoll,      SYS_recvmsg,     SYS_recvfrom,
      SYS_exit_group};
  const uint64_t call = info.entry.nr;
  constexpr uint64_t kMakesFile = O_CREAT | O_TRUNC;
  if (call == SYS_openat) return (info.entry.args[2] & kMakesFile) != 0;
#ifdef SYS_open  // not on every architecture, nor are the others without "at"
  if (call == SYS_open) return (info.entry.args[1] & kMakesFile) != 0;
  if (call == SYS_stat || call == SYS_lstat || call == SYS_access || call == SYS_poll) return false;
#endif
  return std::find(std::begin(kHarmless), std::end(kHarmless), call) == std::end(kHarmless);
}

// Calls `work` in a process of its own, which is killed before its change number `count` (from 0).
// False when it ended before that; it must have returned true then.
inline bool KilledBefore(int count, const std::function<bool()>& work) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(2);
    raise(SIGSTOP);
    try {
      _exit(work() ? 0 : 1);
    } catch (...) {  // a REQUIRE: the rest of the tests is not the child's
      _exit(1);
    }
  }
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFSTOPPED(status));
  constexpr int kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
  REQUIRE(ptrace(PTRACE_SETOPTIONS, pid, nullptr, kOptions) == 0);
  constexpr int kAtCall = SIGTRAP | 0x80;
  bool is_change = false;  // the call that is being made
  bool is_new = true;      // what there is: not that of the last moment at which it could be killed
  for (int signal = 0, left = count; WIFSTOPPED(status);) {
    __ptrace_syscall_info info = {};
    if (WSTOPSIG(status) == kAtCall) {
      REQUIRE(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
      if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        is_change = IsChange(info);
        if (is_change && is_new && left-- == 0) {
          REQUIRE(kill(pid, SIGKILL) == 0);
          REQUIRE(waitpid(pid, &status, 0) == pid);
          return true;
        }
        is_new = is_new && !is_change;
      } else {
        is_new = is_new || (is_change && info.exit.is_error == 0);
      }
      signal = 0;
    } else {
      signal = WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
    }
    REQUIRE(ptrace(PTRACE_SYSCALL, pid, nullptr, signal) == 0);
    REQUIRE(waitpid(pid, &status, 0) == pid);
  }
  INFO("the work has failed, or has died: wait status " << status);
  REQUIRE(status == 0);
  return false;
}

// For each change of `work`: `prepare`, `work` until it is killed before that change, and `check`;
// at last once more with the whole work. Each is called with nothing left of the one before but
// what `check` leaves. Returns the number of changes: compare it, so that the test cannot pass
// because the work did nothing.
inline int KillBeforeEachChange(const std::function<void()>& prepare,
                                const std::function<bool()>& work,
                                const std::function<void(bool killed)>& check) {
  for (int count = 0;; ++count) {
    INFO("killed before change " << count);
    prepare();
    const bool killed = KilledBefore(count, work);
    check(killed);
    if (!killed) return count;
  }
}

}  // namespace crisp::test
