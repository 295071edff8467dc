// Cgroups, namespaces and what is set in them.
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "linux/syscalls.h"
#include "shim/child/step.h"

namespace crisp::shim {

bool ApplyCgroups(Child& child) {
  // clone3 has joined the cgroup2 group. "0" in `tasks` moves only the calling thread, without the
  // kernel's lock on all forks that a write to cgroup.procs takes. The one with the CPU quota comes
  // last (cgroup::Layout::v1).
  for (const int tasks : child.process.v1_tasks) {
    if (write(tasks, "0", 1) != 1) return child.Fail("join a cgroup");
  }
  return true;
}

bool ApplyCgroupNamespace(Child& child) {
  // Not made by clone3, with which the builder's group would be the namespace's root.
  if (!child.launch->IsNew(CLONE_NEWCGROUP)) return true;
  return unshare(CLONE_NEWCGROUP) == 0 || child.Fail("unshare");
}

bool ApplyContainerCgroupNamespace(Child& child) {
  const int fd = child.process.cgroup_namespace;
  return fd < 0 || setns(fd, CLONE_NEWCGROUP) == 0 || child.Fail("setns");
}

bool ApplySession(Child& child) {
  // A helper leaves the shim's group, too: the process that it clones could be made to signal all
  // of its group before it has one of its own.
  return setsid() >= 0 || child.Fail("setsid");
}

bool ApplyUserNamespace(Child& child) {
  if (!child.process.in_user_namespace) return true;
  // The builder has joined the namespace, but the ids are still those of the host's root, which the
  // namespace does not map.
  if (setgroups(0, nullptr) != 0) return child.Fail("setgroups");
  if (setresgid(0, 0, 0) != 0) return child.Fail("setresgid 0: gidMappings do not map group 0");
  if (setresuid(0, 0, 0) != 0) return child.Fail("setresuid 0: uidMappings do not map user 0");
  return true;
}

bool ApplyHostname(Child& child) {
  const std::string& name = child.launch->hostname;
  if (name.empty()) return true;
  return sethostname(name.c_str(), name.size()) == 0 || child.Fail(name.c_str());
}

bool ApplySysctls(Child& child) {
  for (const SysctlPlan& sysctl : child.launch->sysctls) {
    // Written through the shim's own procfs: files of the container's /proc may be covered by
    // mounts.
    const base::UniqueFd fd(
        linux::OpenAt2(child.process.private_proc, sysctl.path.c_str(), O_WRONLY | O_CLOEXEC,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV));
    if (!fd.valid()) return child.Fail(sysctl.key.c_str());
    const ssize_t n = write(fd.get(), sysctl.value.data(), sysctl.value.size());
    if (n != static_cast<ssize_t>(sysctl.value.size()))
      return child.Fail(sysctl.key.c_str(), " = ", sysctl.value.c_str());
  }
  return true;
}

}  // namespace crisp::shim
