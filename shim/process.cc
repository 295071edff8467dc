// What only root on the host can give a process: a lower OOM score, higher limits and priorities,
// the ownership of its pipes and of its cgroup.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "shim/build_context.h"
#include "shim/child/step.h"
#include "shim/open_files.h"
#include "shim/seccomp_gate.h"

namespace crisp::shim {
namespace {

// Sets the builder's own score, which the child inherits.
bool SetOomScore(BuildContext& context, int score) {
  const base::UniqueFd fd(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  const std::string text = absl::StrCat(score);
  if (fd.valid() && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()))
    return true;
  // Lowering the score takes CAP_SYS_RESOURCE. Without it the score stays as it is; crispd logged a
  // warning about that when it started.
  return errno == EACCES || errno == EPERM || context.Fail(absl::StrCat("oom_score_adj ", score));
}

// What a core dump has, as after boot (core(5)). The child inherits it.
bool ResetCoredumpFilter() {
  const base::UniqueFd fd(open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC));
  constexpr absl::string_view kDefault = "0x33";
  if (!fd.valid()) return errno == ENOENT;  // a kernel without core dumps
  return write(fd.get(), kDefault.data(), kDefault.size()) == static_cast<ssize_t>(kDefault.size());
}

// Unless the spec sets it, the limit of open files is the one before the shim raised its own.
void GiveOpenFiles(ProcessPlan& process) {
  for (const RlimitPlan& limit : process.rlimits) {
    if (limit.resource == RLIMIT_NOFILE) return;
  }
  process.rlimits.push_back(
      {.resource = RLIMIT_NOFILE, .name = "RLIMIT_NOFILE", .limit = GivenOpenFiles()});
}

// Raises hard limits to what the plan asks for, and reduces the plan to what the kernel allows.
// Lower limits are left to the child: the builder still has work to do.
bool RaiseRlimits(BuildContext& context) {
  for (RlimitPlan& plan : context.plan.process.rlimits) {
    const auto resource = static_cast<__rlimit_resource>(plan.resource);
    rlimit now;
    if (getrlimit(resource, &now) != 0) return context.Fail(plan.name);
    if (plan.limit.rlim_max <= now.rlim_max) continue;
    const rlimit raised = {.rlim_cur = now.rlim_cur, .rlim_max = plan.limit.rlim_max};
    if (setrlimit(resource, &raised) == 0) continue;
    if (errno != EPERM) return context.Fail(plan.name);
    plan.limit.rlim_max = now.rlim_max;
    plan.limit.rlim_cur = std::min(plan.limit.rlim_cur, now.rlim_max);
  }
  return true;
}

// Programs may open /dev/stdout and /dev/stderr, so the container's user must own the pipes behind
// them.
bool GiveStdio(BuildContext& context) {
  ProcessPlan& process = context.plan.process;
  std::copy(std::begin(context.input.stdio), std::end(context.input.stdio),
            std::begin(process.stdio));
  if (process.terminal) return true;  // the child opens the pty and gives it to the user
  const uid_t uid = HostId(context.plan.uid_mappings, process.uid);
  for (int& fd : process.stdio) {
    struct stat info;
    if (fd < 0) {
      // Opened through the read-only clone: a container could otherwise fchmod the host's node.
      const std::string null = absl::StrCat("/proc/self/fd/", context.plan.null_tree);
      fd = open(null.c_str(), O_RDWR | O_CLOEXEC);
      if (fd < 0) return context.Fail("/dev/null");
    } else if (fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) && info.st_uid != uid &&
               fchown(fd, uid, static_cast<gid_t>(-1)) != 0) {
      return context.Fail("chown a pipe");
    }
  }
  return true;
}

// Whether the container may make groups below its own: its cgroup2 mount is writable, and shows
// nothing but that group.
bool HasOwnCgroups(const LaunchPlan& plan) {
  const auto writable = [](const MountPlan& mount) {
    return mount.kind == MountKind::kCgroup && (mount.options.top.set & MOUNT_ATTR_RDONLY) == 0;
  };
  return plan.IsNew(CLONE_NEWCGROUP) && plan.cgroup_binds.empty() &&
         std::any_of(plan.mounts.begin(), plan.mounts.end(), writable);
}

// Bounds the groups below the container's own. Not all of the kernel's memory for them is counted
// as the container's: 42,000 have brought down a node (kubernetes/enhancements#5475).
bool LimitGroups(BuildContext& context) {
  constexpr absl::string_view kMost = "4096";
  const absl::StatusOr<base::UniqueFd> file =
      base::OpenAt(context.cgroup.v2.get(), "cgroup.max.descendants", O_WRONLY);
  const absl::Status written = file.ok() ? base::WriteAll(file->get(), kMost) : file.status();
  return written.ok() || context.Fail(base::Prefix(written, "bound the cgroups"));
}

// A detached procfs of the builder's own: no mount can hide its files, and no other process can
// reach it.
bool OpenPrivateProc(BuildContext& context) {
  if (context.plan.sysctls.empty() && context.plan.process.apparmor_profile.empty()) return true;
  const base::UniqueFd fs(fsopen("proc", FSOPEN_CLOEXEC));
  if (!fs.valid() || fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return context.Fail("procfs");
  context.plan.process.private_proc =
      fsmount(fs.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  return context.plan.process.private_proc >= 0 || context.Fail("fsmount procfs");
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

uint32_t HostId(const std::vector<oci::IdMapping>& mappings, uint32_t id) {
  for (const oci::IdMapping& map : mappings) {
    if (id >= map.container_id && id - map.container_id < map.size)
      return map.host_id + (id - map.container_id);
  }
  return id;
}

bool GiveCgroup(BuildContext& context) {
  if (!HasOwnCgroups(context.plan)) return true;
  if (!LimitGroups(context)) return false;
  const uid_t uid = HostId(context.plan.uid_mappings, context.plan.process.uid);
  const gid_t gid = HostId(context.plan.gid_mappings, 0);
  if (uid == 0) return true;
  const int group = context.cgroup.v2.get();
  if (fchown(group, uid, gid) != 0) return context.Fail("chown the cgroup");
  const absl::StatusOr<std::string> names = base::ReadFile("/sys/kernel/cgroup/delegate");
  if (!names.ok()) return context.Fail(names.status());
  for (const absl::string_view name : absl::StrSplit(*names, '\n', absl::SkipEmpty())) {
    // Of a controller that the group does not have there are no files.
    if (fchownat(group, std::string(name).c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno != ENOENT)
      return context.Fail(absl::StrCat("chown ", name, " of the cgroup"));
  }
  return true;
}

bool PrepareProcess(BuildContext& context) {
  ProcessPlan& process = context.plan.process;
  process.argv = Pointers(process.args);
  process.envp = Pointers(process.env);
  process.done = context.input.done;
  process.console_socket = context.input.console_socket;
  if (context.joins_pid_namespace() && !AddSeccompGate(process))
    return context.Fail("the seccomp filter has no room for one more rule");
  const char* not_reset = ResetPriorities();
  if (not_reset != nullptr) return context.Fail(not_reset);
  if (!ResetCoredumpFilter()) return context.Fail("coredump_filter");
  if (process.oom_score_adj.has_value() && !SetOomScore(context, *process.oom_score_adj))
    return false;
  GiveOpenFiles(process);
  return RaiseRlimits(context) && GiveStdio(context) && OpenPrivateProc(context);
}

}  // namespace crisp::shim
