// Masked and read-only paths of the spec. Links are followed inside the rootfs; a path that does
// not exist there is skipped.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "shim/child/step.h"
#include "shim/child/target.h"

namespace crisp::shim {
namespace {

bool IsAbsent(int error) { return error == ENOENT || error == ENOTDIR; }

// The mount that covers masked files, or masked directories. The first path gets the tree itself,
// the others get clones of it: kernels before 6.15 can only clone attached trees.
struct Cover {
  int tree = -1;
  bool attached = false;

  bool Attach(int place) {
    if (!attached) {
      attached = AttachTree(tree, place);
      return attached;
    }
    const base::UniqueFd clone(
        open_tree(tree, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    return clone.valid() && AttachTree(clone.get(), place);
  }
};

int MakeEmptyDirectory() {
  const base::UniqueFd fs(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!fs.valid() || fsconfig(fs.get(), FSCONFIG_SET_STRING, "source", "tmpfs", 0) != 0 ||
      fsconfig(fs.get(), FSCONFIG_SET_STRING, "mode", "755", 0) != 0 ||
      fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return -1;
  }
  return fsmount(fs.get(), FSMOUNT_CLOEXEC,
                 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

bool MakeReadonly(Child& child, const char* path) {
  const base::UniqueFd place(OpenInside(child.root, path));
  if (!place.valid()) return IsAbsent(errno) || child.Fail(path);
  const base::UniqueFd tree(open_tree(
      place.get(), "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (!tree.valid() ||
      mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0 ||
      !AttachTree(tree.get(), place.get())) {
    return child.Fail(path);
  }
  return true;
}

bool Mask(Child& child, const char* path, Cover& file, Cover& directory) {
  const base::UniqueFd place(OpenInside(child.root, path));
  if (!place.valid()) return IsAbsent(errno) || child.Fail(path);
  struct stat info;
  if (fstat(place.get(), &info) != 0) return child.Fail(path);
  Cover& cover = S_ISDIR(info.st_mode) ? directory : file;
  if (cover.tree < 0) cover.tree = MakeEmptyDirectory();
  return (cover.tree >= 0 && cover.Attach(place.get())) || child.Fail(path);
}

}  // namespace

bool ApplyPathRestrictions(Child& child) {
  for (const std::string& path : child.launch->readonly_paths) {
    if (!MakeReadonly(child, path.c_str())) return false;
  }
  Cover file = {.tree = child.launch->null_tree};
  Cover directory;
  bool ok = true;
  for (const std::string& path : child.launch->masked_paths) {
    ok = ok && Mask(child, path.c_str(), file, directory);
  }
  if (directory.tree >= 0) close(directory.tree);
  return ok;
}

}  // namespace crisp::shim
