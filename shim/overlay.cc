// The rootfs and image mounts, as detached trees. Overlays are mounted over the bundle directory in
// the builder's private mount namespace, before it enters a user namespace: overlayfs accesses the
// layers with the rights of the process that mounted it. mount(2) takes one page of options, with
// room for some 250 layers whose names are relative to the working directory; more are attached
// under shorter names. (fsconfig(2) takes layers one by one, but from Linux 6.7 on only.)
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "linux/overlay_options.h"
#include "linux/syscalls.h"
#include "shim/build_context.h"
#include "shim/plan_compiler.h"

namespace crisp::shim {
namespace {

int CloneAt(int dir, const char* path) {
  return open_tree(dir, path,
                   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (path[0] == '\0' ? AT_EMPTY_PATH : 0));
}

// Attaches `directory` (below the working directory) as `stage`/`name`, with the ids of the user
// namespace if there is one.
bool StageLayer(BuildContext& context, const std::string& directory, const std::string& stage,
                const std::string& name) {
  const base::UniqueFd tree(CloneAt(AT_FDCWD, directory.c_str()));
  if (!tree.valid()) return context.Fail(directory);
  if (context.has_user_namespace() && !IdMapTree(tree.get(), context.user_namespace, false))
    return context.Fail(absl::StrCat(directory, ": idmap"));
  const std::string place = base::JoinPath(stage, name);
  if (mkdir(place.c_str(), 0700) != 0) return context.Fail(place);
  return move_mount(tree.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0 ||
         context.Fail(place);
}

// Attaches every layer under a short name on a tmpfs over the bundle directory, and makes `rootfs`
// name those instead.
bool StageLayers(BuildContext& context, RootfsPlan& rootfs) {
  const std::string& stage = context.plan.bundle;
  if (mount("tmpfs", stage.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700") != 0)
    return context.Fail(stage);
  if (chdir(rootfs.base.c_str()) != 0) return context.Fail(rootfs.base);
  int next = 0;
  for (std::string& lower : rootfs.lowers) {
    const std::string name = absl::StrCat(next++);
    if (!StageLayer(context, lower, stage, name)) return false;
    lower = name;
  }
  if (!rootfs.upper.empty()) {
    rootfs.upper = base::JoinPath(rootfs.base, rootfs.upper);
    rootfs.work = base::JoinPath(rootfs.base, rootfs.work);
  }
  if (!rootfs.upper.empty() && context.has_user_namespace()) {
    // The upper directory cannot be idmapped: overlayfs makes work files in it as the host's root,
    // which has no id in the user namespace. So files in it have the namespace's ids on disk, and
    // its root directory must have them, too.
    const uid_t uid = HostId(context.plan.uid_mappings, 0);
    const gid_t gid = HostId(context.plan.gid_mappings, 0);
    if (chown(rootfs.upper.c_str(), uid, gid) != 0) return context.Fail(rootfs.upper);
  }
  rootfs.base = stage;
  return true;
}

// Mounts the overlay over the bundle directory.
bool MountOverlay(BuildContext& context, RootfsPlan rootfs) {
  absl::StatusOr<std::string> options = OverlayOptions(rootfs);
  const bool too_long = options.ok() && options->size() > linux::kMaxOverlayOptions;
  if (context.has_user_namespace() || too_long) {
    if (!StageLayers(context, rootfs)) return false;
    options = OverlayOptions(rootfs);
  }
  if (!options.ok()) return context.Fail(options.status());
  // mount(2) would cut the options off without an error.
  if (options->size() > linux::kMaxOverlayOptions) {
    return context.Fail(absl::InvalidArgumentError(absl::StrCat(
        "overlay of ", rootfs.lowers.size(), " layers below ", rootfs.upper, ": its options take ",
        options->size(), " bytes, at most ", linux::kMaxOverlayOptions)));
  }
  if (chdir(rootfs.base.c_str()) != 0) return context.Fail(rootfs.base);
  if (!rootfs.work.empty()) {
    // An earlier start of this container that was abandoned has left the mark of a volatile overlay
    // that was not unmounted cleanly, with which the kernel refuses to mount it again.
    const std::string incompat = absl::StrCat(rootfs.work, "/work/incompat");
    (void)unlink(absl::StrCat(incompat, "/volatile/dirty").c_str());
    (void)rmdir(absl::StrCat(incompat, "/volatile").c_str());
    (void)rmdir(incompat.c_str());
  }
  const unsigned long flags = rootfs.upper.empty() ? MS_RDONLY : 0;
  const bool ok =
      mount("overlay", context.plan.bundle.c_str(), "overlay", flags, options->c_str()) == 0;
  if (!ok) return context.Fail(absl::StrCat("overlay of ", rootfs.lowers.size(), " layers"));
  return chdir("/") == 0 || context.Fail("/");
}

// A read-only overlay needs two layers; a single one is bound read-only instead.
int CloneSingleLayer(BuildContext& context, const RootfsPlan& rootfs, const std::string& sub_path) {
  const base::UniqueFd layer(open(base::JoinPath(rootfs.base, rootfs.lowers[0]).c_str(),
                                  O_PATH | O_DIRECTORY | O_CLOEXEC));
  const base::UniqueFd directory(
      !layer.valid() ? -1
                     : linux::OpenAt2(layer.get(), sub_path.empty() ? "." : sub_path.c_str(),
                                      O_PATH | O_DIRECTORY | O_CLOEXEC,
                                      RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
  const int tree = directory.valid() ? CloneAt(directory.get(), "") : -1;
  mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  attr.propagation = MS_PRIVATE;
  if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0) {
    context.Fail(absl::StrCat(rootfs.lowers[0], "/", sub_path));
    return -1;
  }
  if (context.has_user_namespace() && !IdMapTree(tree, context.user_namespace, false)) {
    context.Fail(absl::StrCat(rootfs.lowers[0], ": idmap"));
    return -1;
  }
  return tree;
}

int MakeTree(BuildContext& context, const RootfsPlan& rootfs, const std::string& sub_path) {
  if (rootfs.upper.empty() && rootfs.lowers.size() == 1)
    return CloneSingleLayer(context, rootfs, sub_path);
  if (!MountOverlay(context, rootfs)) return -1;
  const base::UniqueFd root(open(context.plan.bundle.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const base::UniqueFd directory(
      linux::OpenAt2(root.get(), sub_path.empty() ? "." : sub_path.c_str(),
                     O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
  const int tree = directory.valid() ? CloneAt(directory.get(), "") : -1;
  if (tree < 0) context.Fail(sub_path.empty() ? "clone the overlay" : sub_path);
  return tree;
}

}  // namespace

bool PrepareRootfs(BuildContext& context) {
  LaunchPlan& plan = context.plan;
  if (plan.rootfs.lowers.empty()) {
    const std::string directory =
        absl::StrCat(plan.rootfs.below_bundle ? plan.bundle : "", plan.rootfs.directory);
    plan.rootfs_tree = CloneAt(AT_FDCWD, directory.c_str());
    return plan.rootfs_tree >= 0 || context.Fail(directory);
  }
  plan.rootfs_tree = MakeTree(context, plan.rootfs, "");
  return plan.rootfs_tree >= 0;
}

bool PrepareImageMounts(BuildContext& context) {
  for (MountPlan& mount : context.plan.mounts) {
    if (mount.kind != MountKind::kImage) continue;
    mount.tree = MakeTree(context, mount.image, mount.sub_path);
    if (mount.tree < 0) return false;
    mount.tree_is_directory = true;
    mount_attr attr = {};
    attr.attr_set = mount.options.top.set;
    if (mount_setattr(mount.tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0)
      return context.Fail(mount.destination);
  }
  return true;
}

}  // namespace crisp::shim
