// The user, the capabilities and other restrictions of the process.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "linux/syscalls.h"
#include "shim/child/step.h"

namespace crisp::shim {
namespace {

constexpr uint64_t Bit(int capability) { return uint64_t{1} << capability; }

bool GetCapabilities(uint64_t& permitted) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  permitted = data[0].permitted | uint64_t{data[1].permitted} << 32;
  return true;
}

bool SetCapabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; ++i) {
    data[i].effective = static_cast<uint32_t>(effective >> (32 * i));
    data[i].permitted = static_cast<uint32_t>(permitted >> (32 * i));
    data[i].inheritable = static_cast<uint32_t>(inheritable >> (32 * i));
  }
  return syscall(SYS_capset, &header, data) == 0;
}

bool LoadSeccomp(Child& child) {
  const auto& filter = child.process.seccomp;
  if (filter.empty()) return true;
  const sock_fprog program = {.len = static_cast<uint16_t>(filter.size()),
                              .filter = const_cast<sock_filter*>(filter.data())};
  const uint64_t flags = child.process.seccomp_flags;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0 ||
         child.Fail("load the filter");
}

}  // namespace

bool ApplyRlimits(Child& child) {
  for (const RlimitPlan& limit : child.process.rlimits) {
    if (setrlimit(static_cast<__rlimit_resource>(limit.resource), &limit.limit) != 0)
      return child.Fail(limit.name.c_str());
  }
  return true;
}

bool ApplyBoundingSet(Child& child) {
  if (!child.process.capabilities.has_value()) return true;
  for (int i = 0; i < 64; ++i) {
    const int has = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
    if (has < 0) break;  // past the last capability of this kernel
    if (has == 0 || (child.process.capabilities->bounding & Bit(i)) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) return child.Fail("drop a capability");
  }
  return true;
}

bool ApplyUser(Child& child) {
  const ProcessPlan& process = child.process;
  // Without this the change of user would clear the capabilities, which later steps need.
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return child.Fail("keep capabilities");
  if (setgroups(process.groups.size(), process.groups.data()) != 0) return child.Fail("setgroups");
  if (setresgid(process.gid, process.gid, process.gid) != 0) return child.Fail("setresgid");
  if (setresuid(process.uid, process.uid, process.uid) != 0) return child.Fail("setresuid");
  umask(process.umask);
  return true;
}

bool ApplyCapabilities(Child& child) {
  if (!child.process.capabilities.has_value()) return true;
  uint64_t held = 0;
  if (!GetCapabilities(held)) return child.Fail("capget");
  // Only what the shim itself has can be given: a privileged container asks for all there are.
  const CapabilityPlan& plan = *child.process.capabilities;
  const uint64_t ambient = plan.ambient & held;
  // The kernel wants ambient capabilities to be inheritable; others must not be.
  if (!SetCapabilities(plan.effective & held, plan.permitted & held, ambient))
    return child.Fail("capset");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return child.Fail("clear ambient capabilities");
  for (int i = 0; i < 64; ++i) {
    if ((ambient & Bit(i)) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0) {
      return child.Fail("raise an ambient capability");
    }
  }
  return true;
}

bool ApplyNoNewPrivileges(Child& child) {
  if (!child.process.no_new_privileges) return true;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 || child.Fail("prctl");
}

bool ApplyAppArmor(Child& child) {
  const std::string& profile = child.process.apparmor_profile;
  if (profile.empty()) return true;
  const base::UniqueFd fd(linux::OpenAt2(
      child.process.private_proc, "thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC,
      RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS));
  if (!fd.valid()) return child.Fail(profile.c_str(), ": AppArmor is not available");
  char command[512] = "exec ";
  constexpr size_t kPrefix = 5;
  if (profile.size() > sizeof(command) - kPrefix)
    return child.Refuse(ENAMETOOLONG, profile.c_str());
  memcpy(command + kPrefix, profile.data(), profile.size());
  const size_t length = kPrefix + profile.size();
  return write(fd.get(), command, length) == static_cast<ssize_t>(length) ||
         child.Fail(profile.c_str());
}

bool ApplySeccompPrivileged(Child& child) {
  return child.process.no_new_privileges || LoadSeccomp(child);
}
bool ApplySeccomp(Child& child) { return !child.process.no_new_privileges || LoadSeccomp(child); }

}  // namespace crisp::shim
