#include "shim/child/step.h"

namespace crisp::shim {
namespace {

using ipc::Step;

constexpr ChildStep kInitSteps[] = {
    {Step::kBarrier,
     ApplyBarrier},  // first: a parked child has its pid and namespaces, nothing else
    {Step::kCgroup, ApplyCgroups},                   // before anything costs memory
    {Step::kCgroupNamespace, ApplyCgroupNamespace},  // its root is the group joined just now
    {Step::kSession, ApplySession},  // before a terminal can become the controlling one
    {Step::kRootfs,
     ApplyRootfs},  // as the host's root: the bundle directory is closed to everybody else
    {Step::kUserNamespace, ApplyUserNamespace},  // as the container's root from here on
    {Step::kMounts,
     ApplyMounts},  // targets below the rootfs only; the host's /proc still vouches for ours
    {Step::kDevices, ApplyDevices},           // into the /dev that was mounted just now
    {Step::kConsole, ApplyContainerConsole},  // needs devpts, and /dev/console as a place
    {Step::kPivotRoot, ApplyPivotRoot},       // from here on the host has no name any more
    {Step::kHostname, ApplyHostname},
    {Step::kSysctls, ApplySysctls},        // while we have the capabilities
    {Step::kWorkdir, ApplyWorkdirExists},  // made if missing, while the rootfs is writable
    {Step::kPathRestrictions, ApplyPathRestrictions},  // after every mount they might cover
    {Step::kReadonlyRootfs, ApplyReadonlyRootfs},      // after the last mountpoint was made
    {Step::kRlimits, ApplyRlimits},    // after the last descriptor was opened: RLIMIT_NOFILE
    {Step::kAppArmor, ApplyAppArmor},  // takes effect at exec
    {Step::kStdio, ApplyStdio},
    {Step::kWorkdir,
     ApplyWorkdir},  // as root, as other runtimes do; once more as the user if that is refused
    {Step::kDescriptors, ApplyDescriptors},    // the next step may forbid close_range
    {Step::kSeccomp, ApplySeccompPrivileged},  // without no_new_privs it takes CAP_SYS_ADMIN
    {Step::kBoundingSet, ApplyBoundingSet},    // takes CAP_SETPCAP
    {Step::kUser, ApplyUser},                  // takes CAP_SETUID and CAP_SETGID
    {Step::kWorkdir, ApplyWorkdirAsUser},
    {Step::kCapabilities, ApplyCapabilities},  // the last privileged step
    {Step::kNoNewPrivileges, ApplyNoNewPrivileges},
    {Step::kSeccomp,
     ApplySeccomp},  // as late as possible: the filter need not allow what setup does
    {Step::kExec, ApplyProgram},
};

// An exec finds the container made; it only becomes one of its processes.
constexpr ChildStep kExecSteps[] = {
    {Step::kCgroup, ApplyCgroups},
    {Step::kCgroupNamespace, ApplyContainerCgroupNamespace},
    {Step::kSession, ApplySession},
    {Step::kUserNamespace, ApplyUserNamespace},
    {Step::kConsole, ApplyExecConsole},
    {Step::kRlimits, ApplyRlimits},
    {Step::kAppArmor, ApplyAppArmor},
    {Step::kStdio, ApplyStdio},
    {Step::kWorkdir, ApplyWorkdir},
    {Step::kDescriptors, ApplyDescriptors},
    {Step::kSeccomp, ApplySeccompPrivileged},
    {Step::kBoundingSet, ApplyBoundingSet},
    {Step::kUser, ApplyUser},
    {Step::kWorkdir, ApplyWorkdirAsUser},
    {Step::kCapabilities, ApplyCapabilities},
    {Step::kNoNewPrivileges, ApplyNoNewPrivileges},
    {Step::kSeccomp, ApplySeccomp},
    {Step::kExec, ApplyProgram},
};

template <size_t N>
void Run(const ChildStep (&steps)[N], Child& child) {
  for (const ChildStep& step : steps) {
    child.report.Begin(step.step);
    if (!step.run(child)) return;
  }
}

}  // namespace

void RunInitSteps(Child& child) { Run(kInitSteps, child); }
void RunExecSteps(Child& child) { Run(kExecSteps, child); }

}  // namespace crisp::shim
