// For the tests of what must not happen when descriptors run out.
#pragma once

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <functional>

namespace crisp::cni {

// Runs `work` while this process can get no more descriptors.
inline void WithoutDescriptors(const std::function<void()>& work) {
  rlimit before = {};
  (void)getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none = {3, before.rlim_max};
  (void)setrlimit(RLIMIT_NOFILE, &none);
  work();
  (void)setrlimit(RLIMIT_NOFILE, &before);
}

// What `work` says in a child of this process in which files that are opened to be read are refused
// with EMFILE, but neither directories nor files that are made: as when other threads take the last
// descriptors in between.
inline bool HoldsWhenOthersTakeDescriptors(const std::function<bool()>& work) {
  constexpr unsigned kFlags = offsetof(seccomp_data, args[2]);
  const pid_t child = fork();
  if (child == 0) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFlags),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_DIRECTORY | O_CREAT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
    };
    const sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    const bool set = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                     prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
    _exit(set && work() ? 0 : 1);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace crisp::cni
