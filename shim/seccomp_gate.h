// A way through a container's own seccomp filter for the last system calls of crisp-shim.
//
// A process that joins a PID namespace has its filter from its first moment: its helper loads it
// (child/inside.cc), still has to clone the process then, and that calls setsid and
// ioctl(TIOCSCTTY). The filter may forbid all three. Rules in front of it allow exactly these
// calls, with a random number in the register of the sixth argument, which none of them uses. A
// process that learns the number gains nothing: it works for this one filter, of the process and
// its children, and allows only what is listed.
#pragma once

#include <sched.h>
#include <unistd.h>

#include <cstdint>

#include "shim/launch_plan.h"

namespace crisp::shim {

// The flags of the clone that the gate lets through.
constexpr long kGatedClone = CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_VFORK;

// Puts the rules in front of the plan's filter, if it has one. False and errno when they do not fit
// (BPF_MAXINSNS) or there are no random numbers.
bool AddSeccompGate(ProcessPlan& process);

// The system call, with the gate's number. -1 and errno on failure. No allocation.
inline long GatedCall(uint64_t gate, long number, long a = 0, long b = 0, long c = 0) {
  return syscall(number, a, b, c, 0L, 0L, gate);
}

}  // namespace crisp::shim
