#include "snapshot/unpack_isolation.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/bpf_common.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

#include "absl/types/span.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "linux/audit_architecture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CRISP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CRISP_SANITIZED 1
#endif
#endif

namespace crisp::snapshot {
namespace {

// No other process has these: a container's user is below 2^31 (spec/fields.h CheckId). By its real
// user a process is signalled and stopped by others, and by the real user the kernel counts the
// descriptors in messages that wait to be received (unix(7)). As root, the untarrer would share
// that number with all containers of root.
constexpr uid_t kDecodeUser = 0xffff'fff0;
constexpr uid_t kUntarUser = 0xffff'fff1;
constexpr rlim_t kMaxMemory = rlim_t{256} << 20;
// A few are open at a time. But the limit is also that of the number above, for all untarrers.
constexpr rlim_t kMaxOpenFiles = 65'536;
constexpr uint64_t kUntarCapabilities = uint64_t{1} << CAP_CHOWN | uint64_t{1} << CAP_DAC_OVERRIDE |
                                        uint64_t{1} << CAP_FOWNER | uint64_t{1} << CAP_FSETID |
                                        uint64_t{1} << CAP_MKNOD | uint64_t{1} << CAP_SETFCAP;

// What the C library needs for memory and locks, and the messages. The clock is a system call where
// the processor's counter cannot be trusted (vdso(7)), as in some virtual machines.
constexpr int kBothCalls[] = {
    SYS_brk,       SYS_close,           SYS_exit,          SYS_exit_group, SYS_futex,
    SYS_madvise,   SYS_mremap,          SYS_munmap,        SYS_recvmsg,    SYS_sendmsg,
    SYS_getrandom, SYS_restart_syscall, SYS_clock_gettime,
};

// Files, by descriptors. Calls that take none (chdir is missing, and so is every way to another
// root) work in the directory that fchdir has chosen.
constexpr int kUntarCalls[] = {
    SYS_openat,       SYS_openat2,         SYS_newfstatat, SYS_fstat,     SYS_fstatfs,
    SYS_getdents64,   SYS_lseek,           SYS_fchdir,     SYS_umask,     SYS_pwrite64,
    SYS_ftruncate,    SYS_sendfile,        SYS_readlinkat, SYS_mkdirat,   SYS_mknodat,
    SYS_symlinkat,    SYS_linkat,          SYS_unlinkat,   SYS_renameat,  SYS_renameat2,
    SYS_fchown,       SYS_fchownat,        SYS_fchmod,     SYS_fchmodat,  SYS_utimensat,
    SYS_fsetxattr,    SYS_lsetxattr,       SYS_fgetxattr,  SYS_lgetxattr, SYS_llistxattr,
    SYS_lremovexattr, SYS_sync_file_range,
#if defined(__x86_64__)  // elsewhere the C library uses unlinkat
    SYS_unlink,       SYS_rmdir,
#endif
};

#ifdef CRISP_SANITIZED
// The sanitizers' own, and their reports.
constexpr int kSanitizerCalls[] = {
    SYS_read,        SYS_write,         SYS_openat,       SYS_readlinkat,
    SYS_newfstatat,  SYS_getpid,        SYS_gettid,       SYS_prctl,
    SYS_prlimit64,   SYS_mincore,       SYS_sigaltstack,  SYS_pipe2,
    SYS_sched_yield, SYS_clock_gettime, SYS_rt_sigaction, SYS_rt_sigprocmask,
#if defined(__x86_64__)
    SYS_open,        SYS_readlink,      SYS_getrlimit,
#endif
};
#endif

// fcntl(2): what readdir(3) needs. F_SETOWN would let it send signals to every process of the host.
constexpr int kFileCommands[] = {F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC};

void Allow(std::vector<sock_filter>& filter, int call) {
  filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<uint32_t>(call)});
  filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
}

// mmap and mprotect, whose third argument is the protection.
void AllowUnlessExecutable(std::vector<sock_filter>& filter, int call) {
  constexpr uint32_t kThird = offsetof(seccomp_data, args) + 2 * sizeof(uint64_t);
  filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 4, static_cast<uint32_t>(call)});
  filter.push_back({BPF_LD | BPF_W | BPF_ABS, 0, 0, kThird});  // the low half: little-endian
  filter.push_back({BPF_JMP | BPF_JSET | BPF_K, 0, 1, PROT_EXEC});
  filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS});
  filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
}

void AllowFileCommands(std::vector<sock_filter>& filter) {
  constexpr uint32_t kSecond = offsetof(seccomp_data, args) + sizeof(uint64_t);
  constexpr uint8_t kSkipped = 2 + 2 * std::size(kFileCommands);
  filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, kSkipped, SYS_fcntl});
  filter.push_back({BPF_LD | BPF_W | BPF_ABS, 0, 0, kSecond});
  for (const int command : kFileCommands) Allow(filter, command);
  filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS});
}

// Allows `calls`, sorted, and ends the process for all others. As a search tree: when a filter is
// loaded, the kernel tries it with every number there is, and one that compares with one call after
// the other takes it longer than all else that isolates a process.
void AllowOnly(std::vector<sock_filter>& filter, absl::Span<const int> calls) {
  if (calls.size() <= 2) {
    for (const int call : calls) Allow(filter, call);
    filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS});
    return;
  }
  const size_t half = calls.size() / 2;
  const size_t jump = filter.size();
  filter.push_back({BPF_JMP | BPF_JGE | BPF_K, 0, 0, static_cast<uint32_t>(calls[half])});
  AllowOnly(filter, calls.subspan(0, half));
  filter[jump].jt = static_cast<uint8_t>(filter.size() - jump - 1);
  AllowOnly(filter, calls.subspan(half));
}

absl::Status FilterCalls(UnpackRole role) {
  std::vector<int> calls(std::begin(kBothCalls), std::end(kBothCalls));
#ifdef CRISP_SANITIZED
  calls.insert(calls.end(), std::begin(kSanitizerCalls), std::end(kSanitizerCalls));
#endif
  if (role == UnpackRole::kUntar)
    calls.insert(calls.end(), std::begin(kUntarCalls), std::end(kUntarCalls));
  std::sort(calls.begin(), calls.end());
  std::vector<sock_filter> filter = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)},
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, linux::kAuditArchitecture},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
  };
  if (role == UnpackRole::kUntar) AllowFileCommands(filter);
  AllowUnlessExecutable(filter, SYS_mmap);
  AllowUnlessExecutable(filter, SYS_mprotect);
  AllowOnly(filter, calls);
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return base::Errno("no_new_privs", "");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return base::Errno("seccomp", "");
  return absl::OkStatus();
}

absl::Status DropRights(UnpackRole role) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return base::Errno("capget", "");
  const uint64_t has = uint64_t{data[1].permitted} << 32 | data[0].permitted;
  for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap) {
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) return base::Errno("drop capability", "");
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return base::Errno("clear ambient capabilities", "");
  }
  if (setgroups(0, nullptr) != 0) return base::Errno("setgroups", "");
  if (role == UnpackRole::kDecode) {
    constexpr uid_t kUser = kDecodeUser;
    if (setresgid(kUser, kUser, kUser) != 0) return base::Errno("setresgid", "");
    if (setresuid(kUser, kUser, kUser) != 0) return base::Errno("setresuid", "");
  } else if (setresuid(kUntarUser, 0, 0) != 0) {
    return base::Errno("setresuid", "");
  }
  // Without one that crispd itself lacks, a layer that needs it fails as it did in crispd.
  const uint64_t keeps = role == UnpackRole::kUntar ? kUntarCapabilities & has : 0;
  for (int half : {0, 1}) {
    data[half] = {};
    data[half].effective = data[half].permitted = static_cast<uint32_t>(keeps >> (32 * half));
  }
  if (syscall(SYS_capset, &header, data) != 0) return base::Errno("capset", "");
  return absl::OkStatus();
}

absl::Status Limit(__rlimit_resource resource, const char* name, rlim_t value) {
  rlimit limit;
  if (getrlimit(resource, &limit) != 0) return base::Errno("getrlimit", name);
  limit.rlim_max = limit.rlim_cur = std::min(value, limit.rlim_max);
  return setrlimit(resource, &limit) == 0 ? absl::OkStatus() : base::Errno("setrlimit", name);
}

}  // namespace

absl::Status Isolate(UnpackRole role, base::UniqueFd empty_mount_namespace) {
  // From here on no path leads anywhere: neither one of a layer nor one of a library (glibc's iconv
  // would look for modules below /usr/lib).
  if (setns(empty_mount_namespace.get(), CLONE_NEWNS) != 0) {
    return base::Errno("setns", "mount namespace");
  }
  empty_mount_namespace.reset();
  CRISP_RETURN_IF_ERROR(Limit(RLIMIT_CORE, "core", 0));
  CRISP_RETURN_IF_ERROR(Limit(RLIMIT_NOFILE, "open files", kMaxOpenFiles));
#ifndef CRISP_SANITIZED  // its shadow memory takes terabytes of addresses
  CRISP_RETURN_IF_ERROR(Limit(RLIMIT_AS, "memory", kMaxMemory));
#endif
  CRISP_RETURN_IF_ERROR(DropRights(role));
  // Last: another user makes it what fs.suid_dumpable says.
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return base::Errno("not dumpable", "");
  return FilterCalls(role);
}

}  // namespace crisp::snapshot
