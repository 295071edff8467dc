// What a process takes over from its parent through clone(2) and execve(2), and no spec sets.
// crispd may have been started with any of it (a systemd unit, taskset(1), nice(1), a debugger),
// and no container is to notice. Set here, to what a process has after boot:
//
//   scheduling policy, nice value, I/O priority      ResetPriorities(), as the host's root
//   CPU affinity, memory policy, timer slack, personality,                 ApplyInherited()
//   prctl(2): THP_DISABLE, MEMORY_MERGE, MCE_KILL
//   coredump_filter                                  process.cc
//
// and elsewhere, because it depends on the spec or comes last:
//
//   umask, user, groups, capabilities                identity.cc
//   blocked signals                                  ExecuteProgram(); ignored ones: linux/spawn.h
//   session, terminal, descriptors                   ApplySession(), ApplyDescriptors()
//   session keyring                                  the shim's, which is the container's (main.cc)
//   OOM score, resource limits of the spec           process.cc; limits that no spec sets are those
//                                                    that crispd was started with, as LimitNOFILE=
//                                                    in its unit is how an operator sets them
//
// Not reset: what the kernel never takes back (PR_SET_MDWE, no_new_privs, seccomp filters), the
// mitigations of prctl(PR_SET_SPECULATION_CTRL), PR_SET_TSC, PR_SET_IO_FLUSHER and securebits.
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "shim/child/step.h"

namespace crisp::shim {
namespace {

constexpr size_t kMaxCpus = 8192;                // CONFIG_NR_CPUS of any kernel is at most that
constexpr unsigned long kTimerSlackNs = 50'000;  // of every process after boot, prctl(2)
constexpr int kNoIoPriority = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_NONE, 0);  // follows the nice value

// Without CAP_SYS_NICE a lower priority cannot be taken back, and where crispd itself runs in a
// container a filter may refuse the call.
bool IsDone(long result) { return result == 0 || errno == EPERM || errno == EACCES; }

}  // namespace

const char* ResetPriorities() {
  const sched_param none = {.sched_priority = 0};
  if (!IsDone(sched_setscheduler(0, SCHED_OTHER, &none))) return "scheduling policy";
  if (!IsDone(setpriority(PRIO_PROCESS, 0, 0))) return "nice value";
  if (!IsDone(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, kNoIoPriority)) && errno != ENOSYS)
    return "I/O priority";
  return nullptr;
}

bool ApplyInherited(Child& child) {
  // All CPUs there are: the kernel reduces them to those of the cpuset, also when that changes.
  unsigned char cpus[kMaxCpus / 8];
  memset(cpus, 0xff, sizeof(cpus));
  if (syscall(SYS_sched_setaffinity, 0, sizeof(cpus), cpus) < 0) return child.Fail("CPU affinity");
  if (!IsDone(syscall(SYS_set_mempolicy, MPOL_DEFAULT, nullptr, 0)) && errno != ENOSYS)
    return child.Fail("memory policy");
  if (prctl(PR_SET_TIMERSLACK, kTimerSlackNs, 0, 0, 0) != 0) return child.Fail("timer slack");
  // EINVAL: the kernel does not have it.
  constexpr int kMemoryMerge = 67;  // PR_SET_MEMORY_MERGE, Linux 6.4
  const bool cleared = (prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0 || errno == EINVAL) &&
                       (prctl(kMemoryMerge, 0, 0, 0, 0) == 0 || errno == EINVAL || IsDone(-1)) &&
                       (prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0) == 0 || errno == EINVAL);
  if (!cleared) return child.Fail("prctl");
  return personality(PER_LINUX) >= 0 || child.Fail("personality");
}

}  // namespace crisp::shim
