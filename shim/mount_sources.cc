// What a container gets from the host, cloned into detached trees. Each path is resolved only once,
// and nothing is attached anywhere until the child attaches it inside the rootfs.
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "linux/syscalls.h"
#include "shim/build_context.h"

namespace crisp::shim {
namespace {

constexpr unsigned CloneFlags(bool recursive) {
  return OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U);
}

int CloneTree(const char* path, bool recursive) {
  return open_tree(AT_FDCWD, path, CloneFlags(recursive));
}

bool SetAttributes(int tree, const linux::MountAttributes& attributes, bool recursive) {
  if (attributes.empty()) return true;
  mount_attr attr = {};
  attr.attr_set = attributes.set;
  attr.attr_clr = attributes.clear;
  return mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                       sizeof(attr)) == 0;
}

// The clone of a shared mount is its peer, which is right for "shared" and the starting point for
// "slave". With any other propagation, mounts must not propagate between host and container.
bool SetPropagation(int tree, const linux::MountOptions& options) {
  if (options.propagation == MS_SHARED) return true;
  mount_attr attr = {};
  attr.propagation = options.propagation == 0 ? uint64_t{MS_PRIVATE} : options.propagation;
  const bool recursive = options.propagation == 0 || options.propagation_recursive;
  return mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                       sizeof(attr)) == 0;
}

bool IdMapBind(BuildContext& context, const MountPlan& mount) {
  if (mount.uid_mappings.empty()) {
    if (!context.has_user_namespace())
      return context.Fail(
          absl::StrCat(mount.destination, ": idmap needs mappings or a user namespace"), EINVAL);
    return IdMapTree(mount.tree, context.user_namespace, mount.options.idmap_recursive) ||
           context.Fail(absl::StrCat(mount.source, ": idmap"));
  }
  const base::UniqueFd mapping(MakeUserNamespace(mount.uid_mappings, mount.gid_mappings));
  if (!mapping.valid()) return context.Fail(absl::StrCat(mount.destination, ": mappings"));
  return IdMapTree(mount.tree, mapping.get(), mount.options.idmap_recursive) ||
         context.Fail(absl::StrCat(mount.source, ": idmap"));
}

// open_tree(2) clones only mounts of the caller's namespace, so the builder enters the one of the
// process whose /proc directory is `process` for what `clone` does. `whose` is for messages. After
// an error the builder stays there: it ends.
template <typename Clone>
bool InMountNamespace(BuildContext& context, const base::UniqueFd& process, const char* whose,
                      Clone clone) {
  const base::UniqueFd home(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!home.valid()) return context.Fail("/proc/self/ns/mnt");
  const base::UniqueFd away(openat(process.get(), "ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!away.valid() || setns(away.get(), CLONE_NEWNS) != 0)
    return context.Fail(absl::StrCat("enter the mount namespace of ", whose));
  if (!clone()) return false;
  return setns(home.get(), CLONE_NEWNS) == 0 ||
         context.Fail(absl::StrCat("leave the mount namespace of ", whose));
}

// A new procfs is always of the PID namespace of the process that makes it. The helper that makes
// this container's mounts stays outside of a PID namespace that is joined (child/inside.cc), so the
// container gets a clone of the procfs that the owner of the namespace has: pause, or the container
// that is the target.
bool CloneProc(BuildContext& context, MountPlan& mount) {
  const char* name = mount.destination.c_str();
  const std::string& path = context.plan.Find(CLONE_NEWPID)->path;
  const base::UniqueFd& owner =
      context.InSandbox(path, "ns") != nullptr ? context.sandbox : context.target;
  if (!owner.valid()) return context.Fail("no procfs of the PID namespace is known", ESRCH);
  if (!mount.options.data.empty()) return context.Fail(absl::StrCat(name, ": options"), EINVAL);
  const auto clone = [&] {
    // A target may have put anything in this place.
    const base::UniqueFd place(
        linux::OpenAt2(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_NO_SYMLINKS));
    if (!place.valid()) return context.Fail(absl::StrCat(name, ": open the target's /proc"));
    mount.tree = open_tree(place.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return mount.tree >= 0 || context.Fail(absl::StrCat(name, ": clone the target's /proc"));
  };
  if (!InMountNamespace(context, owner, "the target", clone)) return false;
  struct statfs fs;
  struct stat wanted, found;
  if (fstatfs(mount.tree, &fs) != 0 || fs.f_type != PROC_SUPER_MAGIC ||
      fstat(context.plan.process.pid_namespace, &wanted) != 0 ||
      fstatat(mount.tree, "1/ns/pid", &found, 0) != 0 || found.st_ino != wanted.st_ino ||
      found.st_dev != wanted.st_dev) {
    return context.Fail(absl::StrCat(name, ": the target has no procfs there"), EINVAL);
  }
  const linux::MountAttributes attributes = {.set = mount.options.top.set,
                                             .clear = MOUNT_ATTR_RDONLY & ~mount.options.top.set};
  return (SetAttributes(mount.tree, attributes, false) &&
          SetPropagation(mount.tree, mount.options)) ||
         context.Fail(absl::StrCat(name, ": mount_setattr"));
}

// Sources "/proc/<sandbox pid>/root/..." (the pod's /dev/shm and its files) are mounts in the
// sandbox's mount namespace. A container that sees pause may replace what is mounted there, or a
// directory on the way to it, by a link.
bool CloneFromSandbox(BuildContext& context) {
  const auto path_of = [&](const MountPlan& mount) {
    return mount.kind == MountKind::kBind ? context.InSandbox(mount.source, "root") : nullptr;
  };
  std::vector<MountPlan>& mounts = context.plan.mounts;
  if (std::none_of(mounts.begin(), mounts.end(), path_of)) return true;
  return InMountNamespace(context, context.sandbox, "the sandbox", [&] {
    for (MountPlan& mount : mounts) {
      const char* path = path_of(mount);
      if (path == nullptr) continue;
      const base::UniqueFd place(linux::OpenAt2(AT_FDCWD, absl::StrCat("/", path).c_str(),
                                                O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS));
      if (!place.valid()) return context.Fail(mount.source);
      mount.tree = open_tree(place.get(), "", CloneFlags(mount.options.recursive) | AT_EMPTY_PATH);
      if (mount.tree < 0) return context.Fail(mount.source);
    }
    return true;
  });
}

bool PrepareBind(BuildContext& context, MountPlan& mount) {
  if (mount.tree < 0) mount.tree = CloneTree(mount.source.c_str(), mount.options.recursive);
  struct stat info;
  if (mount.tree < 0 || fstat(mount.tree, &info) != 0) return context.Fail(mount.source);
  mount.tree_is_directory = S_ISDIR(info.st_mode);
  if (mount.options.idmap && !IdMapBind(context, mount)) return false;
  return (SetAttributes(mount.tree, mount.options.tree, true) &&
          SetAttributes(mount.tree, mount.options.top, false) &&
          SetPropagation(mount.tree, mount.options)) ||
         context.Fail(absl::StrCat(mount.source, ": mount_setattr"));
}

// Covers masked files, and is the stdin of containers without stdin. Read-only, because a container
// could otherwise chmod the host's node through it.
bool PrepareNull(BuildContext& context) {
  context.plan.null_tree = CloneTree("/dev/null", false);
  struct stat info;
  constexpr unsigned kNullMajor = 1, kNullMinor = 3;
  if (context.plan.null_tree < 0 || fstat(context.plan.null_tree, &info) != 0)
    return context.Fail("/dev/null");
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(kNullMajor, kNullMinor)) {
    return context.Fail("/dev/null is not the null device", ENODEV);
  }
  return SetAttributes(context.plan.null_tree,
                       {.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC}, false) ||
         context.Fail("/dev/null: mount_setattr");
}

// In a user namespace device nodes cannot be made, so the host's are bound. A device may have
// another path on the host than in the container: udev keeps links by device number for that.
bool PrepareDevice(BuildContext& context, DevicePlan& device) {
  const std::string by_number = absl::StrCat(S_ISBLK(device.mode) ? "/dev/block/" : "/dev/char/",
                                             major(device.device), ":", minor(device.device));
  for (const std::string& path : {device.path, by_number}) {
    base::UniqueFd tree(CloneTree(path.c_str(), false));
    struct stat info;
    if (!tree.valid() || fstat(tree.get(), &info) != 0) continue;
    if ((info.st_mode & S_IFMT) != (device.mode & S_IFMT) || info.st_rdev != device.device)
      continue;
    device.tree = tree.release();
    return true;
  }
  return context.Fail(absl::StrCat(device.path, ": the host has no such device"), ENODEV);
}

}  // namespace

bool IdMapTree(int tree, int user_namespace, bool recursive) {
  mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<uint64_t>(user_namespace);
  return mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                       sizeof(attr)) == 0;
}

bool PrepareCgroupBinds(BuildContext& context) {
  for (const MountPlan& mount : context.plan.mounts) {
    if (mount.kind != MountKind::kCgroup) continue;
    for (CgroupBind& bind : context.plan.cgroup_binds) {
      bind.tree = CloneTree(bind.source.c_str(), false);
      if (bind.tree < 0 || !SetAttributes(bind.tree, mount.options.top, false))
        return context.Fail(bind.source);
    }
  }
  return true;
}

bool PrepareMountSources(BuildContext& context) {
  if (!CloneFromSandbox(context)) return false;
  for (MountPlan& mount : context.plan.mounts) {
    if (mount.kind == MountKind::kBind && !PrepareBind(context, mount)) return false;
    if (mount.kind == MountKind::kFilesystem && mount.fs_type == "proc" &&
        context.joins_pid_namespace() && !CloneProc(context, mount)) {
      return false;
    }
  }
  if (!PrepareNull(context)) return false;
  if (!context.has_user_namespace()) return true;
  for (DevicePlan& device : context.plan.devices) {
    if (!PrepareDevice(context, device)) return false;
  }
  return true;
}

}  // namespace crisp::shim
