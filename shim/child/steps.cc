#include "shim/child/step.h"

namespace crisp::shim {
namespace {

constexpr Step kInitSteps[] = {
    {"barrier", ApplyBarrier},  // first: a parked child has its pid and namespaces, nothing else
    {"cgroup", ApplyCgroups},   // before anything costs memory
    {"cgroup namespace", ApplyCgroupNamespace},  // its root is the group joined just now
    {"session", ApplySession},                   // before a terminal can become the controlling one
    {"rootfs",
     ApplyRootfs},  // as the host's root: the bundle directory is closed to everybody else
    {"user namespace", ApplyUserNamespace},  // as the container's root from here on
    {"mounts",
     ApplyMounts},  // targets below the rootfs only; the host's /proc still vouches for ours
    {"devices", ApplyDevices},           // into the /dev that was mounted just now
    {"console", ApplyContainerConsole},  // needs devpts, and /dev/console as a place
    {"pivot root", ApplyPivotRoot},      // from here on the host has no name any more
    {"hostname", ApplyHostname},
    {"sysctls", ApplySysctls},                  // while we have the capabilities
    {"working directory", ApplyWorkdirExists},  // made if missing, while the rootfs is writable
    {"masked and read-only paths", ApplyPathRestrictions},  // after every mount they might cover
    {"read-only rootfs", ApplyReadonlyRootfs},              // after the last mountpoint was made
    {"rlimits", ApplyRlimits},    // after the last descriptor was opened: RLIMIT_NOFILE
    {"apparmor", ApplyAppArmor},  // takes effect at exec
    {"stdio", ApplyStdio},
    {"working directory",
     ApplyWorkdir},  // as root, as other runtimes do; once more as the user if that is refused
    {"descriptors", ApplyDescriptors},    // the next step may forbid close_range
    {"seccomp", ApplySeccompPrivileged},  // without no_new_privs it takes CAP_SYS_ADMIN
    {"bounding set", ApplyBoundingSet},   // takes CAP_SETPCAP
    {"user", ApplyUser},                  // takes CAP_SETUID and CAP_SETGID
    {"working directory", ApplyWorkdirAsUser},
    {"capabilities", ApplyCapabilities},  // the last privileged step
    {"no new privileges", ApplyNoNewPrivileges},
    {"seccomp", ApplySeccomp},  // as late as possible: the filter need not allow what setup does
    {"exec", ApplyProgram},
};

// An exec finds the container made; it only becomes one of its processes.
constexpr Step kExecSteps[] = {
    {"cgroup", ApplyCgroups},
    {"cgroup namespace", ApplyContainerCgroupNamespace},
    {"session", ApplySession},
    {"user namespace", ApplyUserNamespace},
    {"console", ApplyExecConsole},
    {"rlimits", ApplyRlimits},
    {"apparmor", ApplyAppArmor},
    {"stdio", ApplyStdio},
    {"working directory", ApplyWorkdir},
    {"descriptors", ApplyDescriptors},
    {"seccomp", ApplySeccompPrivileged},
    {"bounding set", ApplyBoundingSet},
    {"user", ApplyUser},
    {"working directory", ApplyWorkdirAsUser},
    {"capabilities", ApplyCapabilities},
    {"no new privileges", ApplyNoNewPrivileges},
    {"seccomp", ApplySeccomp},
    {"exec", ApplyProgram},
};

template <size_t N>
void Run(const Step (&steps)[N], Child& child) {
  for (const Step& step : steps) {
    child.report.Begin(step.name);
    if (!step.run(child)) return;
  }
}

}  // namespace

void RunInitSteps(Child& child) { Run(kInitSteps, child); }
void RunExecSteps(Child& child) { Run(kExecSteps, child); }

}  // namespace crisp::shim
