// What the child does between clone3(2) and execve(2): steps, in the order of the tables in
// steps.cc. They read the plan and call the kernel. They allocate nothing, log nothing, throw
// nothing and include no Abseil; whatever needs that is done by the builder beforehand. A step that
// fails says why in the report and returns false; the child then ends.
#pragma once

#include <cerrno>

#include "shim/launch_plan.h"
#include "shim/report.h"

namespace crisp::shim {

// What the process inside a joined PID namespace says to its helper, in a page that the two share.
// The container may have written it: only values that can be right are believed.
struct Outcome {
  ipc::Step step = ipc::Step::kExec;
  int error = 0;  // errno; 0: it executes its program, or was killed
};

// The process that does the steps: the container's child, or its helper (see inside.cc).
struct Child {
  const ProcessPlan& process;
  const LaunchPlan* launch;  // null for an exec
  Report& report;

  bool is_helper() const { return process.pid_namespace >= 0; }

  int root = -1;               // O_PATH, the root of the container
  Outcome* outcome = nullptr;  // of the process inside, when this one is its helper
  int terminal = -1;           // slave end of the pty, if there is one
  bool retry_workdir = false;  // as the user; see ApplyWorkdir

  // Fails with errno.
  bool Fail(const char* a, const char* b = "", const char* c = "") {
    return report.Fail(errno, a, b, c);
  }
  // Fails with an error that the kernel did not report.
  bool Refuse(int error, const char* a, const char* b = "", const char* c = "") {
    return report.Fail(error, a, b, c);
  }
};

struct ChildStep {
  ipc::Step step;
  bool (*run)(Child&);
};

// End in execve(2); return only after a failure.
void RunInitSteps(Child& child);
void RunExecSteps(Child& child);

// rootfs.cc
bool ApplyBarrier(Child& child);
bool ApplyRootfs(Child& child);
bool ApplyPivotRoot(Child& child);
bool ApplyReadonlyRootfs(Child& child);
bool ApplyWorkdirExists(Child& child);

// mounts.cc, restrictions.cc, devices.cc, console.cc
bool ApplyMounts(Child& child);
bool ApplyPathRestrictions(Child& child);
bool ApplyDevices(Child& child);
bool ApplyContainerConsole(Child& child);
bool ApplyExecConsole(Child& child);

// kernel.cc: cgroups, namespaces and what is set in them
bool ApplyCgroups(Child& child);
bool ApplyCgroupNamespace(Child& child);
bool ApplyContainerCgroupNamespace(Child& child);
bool ApplySession(Child& child);
bool ApplyUserNamespace(Child& child);
bool ApplyPidNamespace(Child& child);
bool ApplyHostname(Child& child);
bool ApplySysctls(Child& child);

// inherited.cc: what crispd was started with
bool ApplyInherited(Child& child);
// For the builder, before it joins a user namespace. Null, or what could not be set, with errno.
const char* ResetPriorities();

// identity.cc: user, capabilities and other restrictions of the process
bool ApplyRlimits(Child& child);
bool ApplyBoundingSet(Child& child);
bool ApplyUser(Child& child);
bool ApplyCapabilities(Child& child);
bool ApplyNoNewPrivileges(Child& child);
bool ApplyAppArmor(Child& child);
bool ApplySeccompPrivileged(Child& child);
bool ApplySeccomp(Child& child);

// program.cc: descriptors, working directory, execve
bool ApplyStdio(Child& child);
bool ApplyWorkdir(Child& child);
bool ApplyWorkdirAsUser(Child& child);
bool ApplyDescriptors(Child& child);
bool ApplyProgram(Child& child);
// Returns only after a failure, with the errno.
int ExecuteProgram(const ProcessPlan& process);

// inside.cc: a process that joins a PID namespace. Forks it; returns the errno when it does not
// execute its program, and sets `step` to the one that has failed.
int RunInside(Child& child, ipc::Step& step);

}  // namespace crisp::shim
