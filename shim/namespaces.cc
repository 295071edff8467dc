// Namespaces, before the clone.
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "linux/process_ref.h"
#include "linux/syscalls.h"
#include "shim/build_context.h"

namespace crisp::shim {
namespace {

std::string MapText(const std::vector<oci::IdMapping>& mappings) {
  std::string text;
  for (const oci::IdMapping& map : mappings)
    absl::StrAppend(&text, map.container_id, " ", map.host_id, " ", map.size, "\n");
  return text;
}

bool WriteMap(pid_t pid, const char* name, const std::vector<oci::IdMapping>& mappings) {
  const base::UniqueFd fd(
      open(absl::StrCat("/proc/", pid, "/", name).c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = MapText(mappings);
  return fd.valid() &&
         write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace

const char* BuildContext::InSandbox(const std::string& path, const char* below) const {
  if (!sandbox.valid()) return nullptr;
  const std::string prefix = absl::StrCat("/proc/", start->sandbox_pid(), "/", below, "/");
  return absl::StartsWith(path, prefix) ? path.c_str() + prefix.size() : nullptr;
}

int MakeUserNamespace(const std::vector<oci::IdMapping>& uids,
                      const std::vector<oci::IdMapping>& gids) {
  clone_args args = {};
  args.flags = CLONE_NEWUSER;
  args.exit_signal = SIGCHLD;
  const pid_t pid = linux::Clone3(args);
  if (pid < 0) return -1;
  if (pid == 0) {
    // Waits to be killed. Must end also when the builder is killed before it has done that.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() != 1 && getppid() != 0) pause();
    _exit(1);
  }
  int fd = -1;
  if (WriteMap(pid, "uid_map", uids) && WriteMap(pid, "gid_map", gids)) {
    fd = open(absl::StrCat("/proc/", pid, "/ns/user").c_str(), O_RDONLY | O_CLOEXEC);
  }
  const int error = errno;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  errno = error;
  return fd;
}

bool PrepareNamespaces(BuildContext& context) {
  if (context.start->sandbox_pid() != 0) {
    const linux::ProcessRef pause{context.start->sandbox_pid(),
                                  context.start->sandbox_start_ticks()};
    absl::StatusOr<base::UniqueFd> directory = pause.OpenProcDirectory();
    if (!directory.ok()) return context.Fail(directory.status());
    context.sandbox = *std::move(directory);
  }
  for (const NamespacePlan& entry : context.plan.namespaces) {
    if (entry.path.empty()) {
      // The child makes a new cgroup namespace; a new user namespace is made below.
      if (entry.type != CLONE_NEWCGROUP && entry.type != CLONE_NEWUSER)
        context.clone_flags |= static_cast<uint64_t>(entry.type);
      continue;
    }
    const char* name = context.InSandbox(entry.path, "ns");
    const int fd = name != nullptr ? openat(context.sandbox.get(),
                                            absl::StrCat("ns/", name).c_str(), O_RDONLY | O_CLOEXEC)
                                   : open(entry.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return context.Fail(entry.path);
    if (ioctl(fd, NS_GET_NSTYPE) != entry.type)
      return context.Fail(absl::StrCat(entry.path, " is not a namespace of the type the spec says"),
                          EINVAL);
    if (entry.type == CLONE_NEWUSER) {
      context.user_namespace = fd;
    } else if (entry.type == CLONE_NEWPID) {
      context.plan.process.pid_namespace = fd;
    } else {
      context.joins.push_back(fd);
    }
  }
  // Checked after its path was opened: when the target is alive now, what was opened is the
  // target's.
  const linux::ProcessRef target{context.start->target_pid(), context.start->target_start_ticks()};
  if (target.pid != 0) {
    absl::StatusOr<base::UniqueFd> directory = target.OpenProcDirectory();
    if (!directory.ok() || !target.IsAlive())
      return context.Fail("the target container has ended", ESRCH);
    context.target = *std::move(directory);
  }
  if (context.plan.IsNew(CLONE_NEWUSER)) {
    context.user_namespace =
        MakeUserNamespace(context.plan.uid_mappings, context.plan.gid_mappings);
    if (context.user_namespace < 0) return context.Fail("make a user namespace");
  }
  // With a user namespace the container's mount namespace must belong to that. Without one, the
  // child keeps the builder's private mount namespace.
  if (context.has_user_namespace()) context.clone_flags |= CLONE_NEWNS;
  return true;
}

bool PrepareMountNamespace(BuildContext& context) {
  if (unshare(CLONE_NEWNS) != 0) return context.Fail("unshare");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return context.Fail("make / private");
  return true;
}

bool JoinNamespaces(BuildContext& context) {
  for (const int fd : context.joins) {
    if (setns(fd, 0) != 0) return context.Fail("setns");
  }
  if (!context.has_user_namespace()) return true;
  context.plan.process.in_user_namespace = true;
  return setns(context.user_namespace, CLONE_NEWUSER) == 0 || context.Fail("setns user");
}

bool JoinContainer(BuildContext& context) {
  int types = CLONE_NEWNS;
  for (const NamespacePlan& entry : context.plan.namespaces) types |= entry.type;
  absl::StatusOr<base::UniqueFd> pidfd = context.input.init.Open();
  if (absl::IsNotFound(pidfd.status())) return context.Fail("the container has ended", ESRCH);
  if (!pidfd.ok()) return context.Fail(pidfd.status());
  if ((types & CLONE_NEWCGROUP) != 0) {
    // Joined by the child, not here: with the mount option nsdelegate, which systemd sets, a
    // process inside the container's cgroup namespace cannot clone into a group from one that is
    // outside of that namespace.
    types &= ~CLONE_NEWCGROUP;
    const std::string path = absl::StrCat("/proc/", context.input.init.pid, "/ns/cgroup");
    context.plan.process.cgroup_namespace = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (context.plan.process.cgroup_namespace < 0) return context.Fail(path);
  }
  context.plan.process.in_user_namespace = (types & CLONE_NEWUSER) != 0;
  if (setns(pidfd->get(), types & ~CLONE_NEWPID) != 0) return context.Fail("setns");
  if ((types & CLONE_NEWPID) != 0) context.plan.process.pid_namespace = pidfd->release();
  return true;
}

}  // namespace crisp::shim
