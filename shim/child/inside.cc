// A process that joins a PID namespace: an exec, or the init of a container that shares one.
//
// From its clone on it is seen by the processes there. One of them with CAP_SYS_PTRACE, which a pod
// can ask for, could take its descriptors through /proc/<pid>/fd, and attach to it and use every
// right that it still has. So a helper, which stays outside, does all the steps, and as its last
// one clones the process inside: that is born with the container's capabilities, user, root and
// filter, and with descriptors 0 to 2 only. It shares no memory with the shim.
//
//   builder ──clone3(CLONE_PARENT)──> helper ──clone(CLONE_PARENT | CLONE_VFORK)──> process inside
//                                        │  <── continues at its execve or exit ──────┘
//                                        └ reports to the shim and exits
//
// An exec's builder, which is in the exec's group, goes on as the helper.
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>

#include "base/failpoint.h"
#include "shim/child/step.h"
#include "shim/seccomp_gate.h"

namespace crisp::shim {
namespace {

constexpr size_t kPage = 4096;

[[noreturn]] void FailInside(Outcome& outcome, ipc::Step step, int error) {
  outcome = {.step = step, .error = error};
  _exit(1);
}

// Everything that only the process itself can do, and that needs no right.
[[noreturn]] void BecomeProgram(const Child& child) {
  const ProcessPlan& process = child.process;
  Outcome& outcome = *child.outcome;
  if (GatedCall(process.seccomp_gate, SYS_setsid) < 0)
    FailInside(outcome, ipc::Step::kSession, errno);
  if (process.terminal && GatedCall(process.seccomp_gate, SYS_ioctl, 0, TIOCSCTTY) != 0)
    FailInside(outcome, ipc::Step::kConsole, errno);
  FailInside(outcome, ipc::Step::kExec, ExecuteProgram(process));
}

}  // namespace

bool ApplyPidNamespace(Child& child) {
  if (!child.is_helper()) return true;
  if (setns(child.process.pid_namespace, CLONE_NEWPID) != 0) return child.Fail("setns");
  // Where the process inside says why it failed. It must not reach the report: the shim acts on
  // what stands there.
  void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || madvise(&child.report, kPage, MADV_DONTFORK) != 0)
    return child.Fail("shared memory");
  child.outcome = new (page) Outcome();
  return true;
}

int RunInside(Child& child, ipc::Step& step) {
  // clone(2), not clone3(2): a filter sees only registers.
  const long pid = GatedCall(child.process.seccomp_gate, SYS_clone, kGatedClone, 0,
                             reinterpret_cast<long>(&child.report.child));
  if (pid == 0) BecomeProgram(child);
  step = ipc::Step::kClone;
  if (pid < 0) return errno;
  base::Failpoint("helper: process inside runs");
  const Outcome outcome = *child.outcome;
  step = ipc::Step::kExec;
  for (const ipc::Step possible : {ipc::Step::kSession, ipc::Step::kConsole})
    if (outcome.step == possible) step = possible;
  constexpr int kLastErrno = EHWPOISON;
  return outcome.error >= 0 && outcome.error <= kLastErrno ? outcome.error : EIO;
}

}  // namespace crisp::shim
