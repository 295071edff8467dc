#include "base/failpoint.h"
#include "shim/child/step.h"

namespace crisp::shim {
namespace {

using ipc::Step;

// The order matters; a comment says what a step must come before or after.
// clang-format off
constexpr ChildStep kInitSteps[] = {
    {Step::kBarrier,          ApplyBarrier},           // first: a parked child has done nothing yet
    {Step::kCgroup,           ApplyCgroups},           // before anything uses memory
    {Step::kInherited,        ApplyInherited},         // after "cgroup", for its cpuset
    {Step::kCgroupNamespace,  ApplyCgroupNamespace},   // after "cgroup": that group is its root
    {Step::kSession,          ApplySession},           // before a terminal can become controlling
    {Step::kRootfs,           ApplyRootfs},            // as the host's root: only that may enter
                                                       // the bundle directory
    {Step::kUserNamespace,    ApplyUserNamespace},     // from here on as the container's root
    {Step::kJoinNamespaces,   ApplyPidNamespace},      // before a filter can forbid setns(2)
    {Step::kMounts,           ApplyMounts},            // before "pivot root": the kernel allows a
                                                       // new procfs in a user namespace only where
                                                       // a procfs is fully visible already
    {Step::kDevices,          ApplyDevices},           // into the /dev that "mounts" has made
    {Step::kConsole,          ApplyContainerConsole},  // needs devpts and /dev
    {Step::kPivotRoot,        ApplyPivotRoot},         // no path leads to the host from here on
    {Step::kHostname,         ApplyHostname},
    {Step::kSysctls,          ApplySysctls},           // before the capabilities are dropped
    {Step::kWorkdir,          ApplyWorkdirExists},     // before the rootfs becomes read-only
    {Step::kPathRestrictions, ApplyPathRestrictions},  // after every mount they may cover
    {Step::kReadonlyRootfs,   ApplyReadonlyRootfs},    // after the last mount point was made
    {Step::kRlimits,          ApplyRlimits},           // after the last descriptor was opened:
                                                       // RLIMIT_NOFILE may be low
    {Step::kAppArmor,         ApplyAppArmor},          // takes effect at execve
    {Step::kStdio,            ApplyStdio},
    {Step::kWorkdir,          ApplyWorkdir},           // as root, like other runtimes
    {Step::kDescriptors,      ApplyDescriptors},       // before a filter can forbid close_range(2)
    {Step::kSeccomp,          ApplySeccompPrivileged}, // without no_new_privs: needs CAP_SYS_ADMIN
    {Step::kBoundingSet,      ApplyBoundingSet},       // needs CAP_SETPCAP
    {Step::kUser,             ApplyUser},              // needs CAP_SETUID and CAP_SETGID
    {Step::kWorkdir,          ApplyWorkdirAsUser},
    {Step::kCapabilities,     ApplyCapabilities},      // the last step that needs any
    {Step::kNoNewPrivileges,  ApplyNoNewPrivileges},
    {Step::kSeccomp,          ApplySeccomp},           // with no_new_privs: as late as possible,
                                                       // so the filter need not allow the steps
    {Step::kExec,             ApplyProgram},
};

// For an exec the container exists already, so only what belongs to a process is done.
constexpr ChildStep kExecSteps[] = {
    {Step::kCgroup,           ApplyCgroups},
    {Step::kInherited,        ApplyInherited},
    {Step::kCgroupNamespace,  ApplyContainerCgroupNamespace},
    {Step::kSession,          ApplySession},
    {Step::kUserNamespace,    ApplyUserNamespace},
    {Step::kJoinNamespaces,   ApplyPidNamespace},
    {Step::kConsole,          ApplyExecConsole},
    {Step::kRlimits,          ApplyRlimits},
    {Step::kAppArmor,         ApplyAppArmor},
    {Step::kStdio,            ApplyStdio},
    {Step::kWorkdir,          ApplyWorkdir},
    {Step::kDescriptors,      ApplyDescriptors},
    {Step::kSeccomp,          ApplySeccompPrivileged},
    {Step::kBoundingSet,      ApplyBoundingSet},
    {Step::kUser,             ApplyUser},
    {Step::kWorkdir,          ApplyWorkdirAsUser},
    {Step::kCapabilities,     ApplyCapabilities},
    {Step::kNoNewPrivileges,  ApplyNoNewPrivileges},
    {Step::kSeccomp,          ApplySeccomp},
    {Step::kExec,             ApplyProgram},
};
// clang-format on

template <size_t N>
void Run(const ChildStep (&steps)[N], Child& child) {
  for (const ChildStep& step : steps) {
    child.report.Begin(step.step);
    base::Failpoint("child: ", ipc::StepName(step.step));
    if (!step.run(child)) return;
  }
}

}  // namespace

void RunInitSteps(Child& child) { Run(kInitSteps, child); }
void RunExecSteps(Child& child) { Run(kExecSteps, child); }

}  // namespace crisp::shim
