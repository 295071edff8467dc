// Namespaces, and what is set in them.
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "linux/syscalls.h"
#include "shim/child/step.h"

namespace crisp::shim {

bool ApplyCgroups(Child& child) {
  // cgroup2 was joined by clone3. One thread writing "0" to `tasks` moves without the kernel's lock
  // on all forks.
  for (const int tasks : child.process.v1_tasks) {
    if (write(tasks, "0", 1) != 1) return child.Fail("join a cgroup");
  }
  return true;
}

bool ApplyCgroupNamespace(Child& child) {
  // Not by clone3: it would take the builder's group as the root.
  if (!child.launch->IsNew(CLONE_NEWCGROUP)) return true;
  return unshare(CLONE_NEWCGROUP) == 0 || child.Fail("unshare");
}

bool ApplyContainerCgroupNamespace(Child& child) {
  const int fd = child.process.cgroup_namespace;
  return fd < 0 || setns(fd, CLONE_NEWCGROUP) == 0 || child.Fail("setns");
}

bool ApplySession(Child& child) {
  // Without a keyring of its own the process would share that of crispd's session, and with it keys
  // of the host and of other containers (session-keyring(7)). No kernel keyrings, or a quota of
  // them that is used up: then without.
  const long keyring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  if (keyring < 0 && errno != ENOSYS && errno != EDQUOT && errno != EPERM) {
    return child.Fail("session keyring");
  }
  return setsid() >= 0 || child.Fail("setsid");
}

bool ApplyUserNamespace(Child& child) {
  if (!child.process.in_user_namespace) return true;
  // The builder has joined the namespace; its root is another user than the host's.
  if (setgroups(0, nullptr) != 0) return child.Fail("setgroups");
  if (setresgid(0, 0, 0) != 0) return child.Fail("setresgid 0: the group namespace has no root");
  if (setresuid(0, 0, 0) != 0) return child.Fail("setresuid 0: the user namespace has no root");
  return true;
}

bool ApplyHostname(Child& child) {
  const std::string& name = child.launch->hostname;
  if (name.empty()) return true;
  return sethostname(name.c_str(), name.size()) == 0 || child.Fail(name.c_str());
}

bool ApplySysctls(Child& child) {
  for (const SysctlPlan& sysctl : child.launch->sysctls) {
    // In a procfs of our own, so that nothing mounted over the container's /proc can catch the
    // write.
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
