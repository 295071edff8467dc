#include "spec/seccomp_default.h"

#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace crisp::spec {
namespace {

constexpr char kAllow[] = "SCMP_ACT_ALLOW";

// By subject. The compiler skips names that do not exist on this architecture or in this kernel.
constexpr absl::string_view kAlways[] = {
    // files and their contents
    "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek _llseek "
    "open openat openat2 creat close close_range dup dup2 dup3 fcntl fcntl64 flock ioctl "
    "truncate truncate64 ftruncate ftruncate64 fallocate fadvise64 fadvise64_64 readahead "
    "sendfile sendfile64 splice tee vmsplice copy_file_range sync fsync fdatasync syncfs "
    "sync_file_range cachestat",
    // names, owners, attributes
    "access faccessat faccessat2 stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 "
    "statx statfs statfs64 fstatfs fstatfs64 readlink readlinkat link linkat symlink symlinkat "
    "unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat chdir fchdir "
    "getcwd getdents getdents64 chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 "
    "fchownat lchown lchown32 umask utime utimes utimensat utimensat_time64 futimesat "
    "getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat listxattr "
    "llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat "
    "name_to_handle_at listmount statmount",
    // waiting and notification
    "select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create "
    "epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 "
    "eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 "
    "timerfd_settime timerfd_settime64 inotify_init inotify_init1 inotify_add_watch "
    "inotify_rm_watch fanotify_mark io_setup io_destroy io_submit io_cancel io_getevents "
    "io_pgetevents io_pgetevents_time64",
    // memory
    "brk mmap mmap2 munmap mremap mprotect pkey_mprotect pkey_alloc pkey_free madvise mincore "
    "msync mlock mlock2 mlockall munlock munlockall remap_file_pages memfd_create memfd_secret "
    "map_shadow_stack mseal membarrier",
    // processes and threads
    "fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid "
    "getpgid getpgrp setpgid getsid setsid set_tid_address set_robust_list get_robust_list rseq "
    "futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue set_thread_area "
    "get_thread_area prctl arch_prctl modify_ldt pidfd_open pidfd_send_signal process_mrelease "
    "ptrace process_vm_readv process_vm_writev restart_syscall seccomp uretprobe "
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    // signals
    "kill tkill tgkill pause sigaltstack sigreturn sigprocmask rt_sigaction rt_sigprocmask "
    "rt_sigpending rt_sigreturn rt_sigsuspend rt_sigqueueinfo rt_tgsigqueueinfo "
    "rt_sigtimedwait rt_sigtimedwait_time64",
    // users, groups, capabilities
    "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getgroups getgroups32 "
    "getresuid getresuid32 getresgid getresgid32 setuid setuid32 setgid setgid32 setreuid "
    "setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid "
    "setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset",
    // limits, priorities, scheduling, accounting
    "getrlimit ugetrlimit setrlimit prlimit64 getrusage times getpriority setpriority ioprio_get "
    "ioprio_set getcpu sched_yield sched_getaffinity sched_setaffinity sched_getattr "
    "sched_setattr sched_getparam sched_setparam sched_getscheduler sched_setscheduler "
    "sched_get_priority_max sched_get_priority_min sched_rr_get_interval "
    "sched_rr_get_interval_time64",
    // time
    "time gettimeofday nanosleep clock_gettime clock_gettime64 clock_getres clock_getres_time64 "
    "clock_nanosleep clock_nanosleep_time64 adjtimex clock_adjtime clock_adjtime64 alarm "
    "getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 timer_settime timer_settime64",
    // pipes, sockets, System V and POSIX ipc
    "pipe pipe2 socketpair bind listen accept accept4 connect shutdown getsockname getpeername "
    "getsockopt setsockopt send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg "
    "recvmmsg_time64 ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop "
    "semtimedop_time64 shmat shmctl shmdt shmget mq_open mq_unlink mq_notify mq_getsetattr "
    "mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64",
    // A 32-bit libc makes all its sockets through this one; seccomp cannot see which.
    "socketcall",
    // others
    "getrandom uname sysinfo",
    // 32-bit arm
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"};

// System calls that are allowed only together with a capability they need.
struct Privilege {
  absl::string_view capability;
  absl::string_view names;
};
constexpr Privilege kPrivileges[] = {
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_ADMIN",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
     "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
     "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
     "umount umount2 unshare"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "init_module finit_module delete_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "iopl ioperm"},
    {"CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"}};

// Arguments of personality(2) that Docker allows: PER_LINUX, PER_LINUX32, with UNAME26, and the
// query.
constexpr uint64_t kPersonalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

// Ranges of address families as `family & mask == value`, all but AF_ALG (38: kernel crypto) and
// AF_VSOCK (40: not in a network namespace). Masks and not "<", because the kernel reads an int
// where seccomp compares 64 bits: 2^32 + 40 is AF_VSOCK too.
struct Masked {
  uint64_t mask;
  uint64_t value;
};
constexpr Masked kFamilies[] = {{0xffffffe0, 0},  {0xfffffffc, 32}, {0xfffffffe, 36},
                                {0xffffffff, 39}, {0xffffffff, 41}, {0xfffffffe, 42},
                                {0xfffffffe, 44}};
static_assert(AF_ALG == 38 && AF_VSOCK == 40);

// CLONE_NEW* of clone(2). The flags of clone3(2) are behind a pointer, where seccomp cannot see
// them: it gets ENOSYS, so that libc falls back to clone(2).
constexpr uint64_t kCloneNew = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                               CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

void AddNames(absl::string_view names, std::vector<std::string>& to) {
  for (const absl::string_view name : absl::StrSplit(names, ' ')) to.emplace_back(name);
}

void AllowIf(const char* name, uint64_t value, uint64_t value_two, const char* op,
             oci::Seccomp& profile) {
  profile.syscalls.push_back(
      {.names = {name},
       .action = kAllow,
       .errno_ret = std::nullopt,
       .args = {{.index = 0, .value = value, .value_two = value_two, .op = op}}});
}

}  // namespace

oci::Seccomp DefaultSeccomp(const oci::Capabilities& capabilities) {
  const auto holds = [&](absl::string_view name) {
    return std::find(capabilities.bounding.begin(), capabilities.bounding.end(), name) !=
           capabilities.bounding.end();
  };
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.default_errno_ret = EPERM;
#if defined(__x86_64__)
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
  profile.architectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#endif
  oci::SeccompSyscall& allowed = profile.syscalls.emplace_back(
      oci::SeccompSyscall{.names = {}, .action = kAllow, .errno_ret = std::nullopt, .args = {}});
  for (const absl::string_view names : kAlways) AddNames(names, allowed.names);
  for (const Privilege& privilege : kPrivileges) {
    if (holds(privilege.capability)) AddNames(privilege.names, allowed.names);
  }
  for (const uint64_t value : kPersonalities) {
    AllowIf("personality", value, 0, "SCMP_CMP_EQ", profile);
  }
  for (const Masked& family : kFamilies) {
    AllowIf("socket", family.mask, family.value, "SCMP_CMP_MASKED_EQ", profile);
  }
  if (!holds("CAP_SYS_ADMIN")) {
    AllowIf("clone", kCloneNew, 0, "SCMP_CMP_MASKED_EQ", profile);
    profile.syscalls.push_back(
        {.names = {"clone3"}, .action = "SCMP_ACT_ERRNO", .errno_ret = ENOSYS, .args = {}});
  }
  return profile;
}

}  // namespace crisp::spec
