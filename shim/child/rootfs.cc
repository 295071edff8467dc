// The rootfs: attached over the bundle directory, where mounts are added to it, and then made the
// root.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "linux/syscalls.h"
#include "shim/child/step.h"
#include "shim/child/target.h"

namespace crisp::shim {

bool ApplyBarrier(Child& child) {
  if (child.launch->barrier < 0) return true;
  char released;
  ssize_t n;
  do {
    n = read(child.launch->barrier, &released, 1);
  } while (n < 0 && errno == EINTR);
  return n == 1 || child.Refuse(0, "the start was abandoned");
}

bool ApplyRootfs(Child& child) {
  // The mount namespace is the container's own already: any directory would do.
  const char* bundle = child.launch->bundle.c_str();
  if (move_mount(child.launch->rootfs_tree, "", AT_FDCWD, bundle, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return child.Fail("attach to ", bundle);
  }
  child.root = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return child.root >= 0 || child.Fail("open ", bundle);
}

bool ApplyPivotRoot(Child& child) {
  // With "." for both, the old root is stacked on top of the new one, and the image needs no
  // directory for it (pivot_root(2)).
  if (fchdir(child.root) != 0) return child.Fail("chdir to the rootfs");
  if (linux::PivotRoot(".", ".") != 0) return child.Fail("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) return child.Fail("detach the host's root");
  if (chdir("/") != 0) return child.Fail("chdir /");
  if (child.launch->rootfs_propagation == 0) return true;
  mount_attr attributes = {};
  attributes.propagation = child.launch->rootfs_propagation;
  return mount_setattr(child.root, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) == 0 ||
         child.Fail("set the propagation of /");
}

bool ApplyReadonlyRootfs(Child& child) {
  if (!child.launch->rootfs_readonly) return true;
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return mount_setattr(child.root, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) == 0 ||
         child.Fail("make / read-only");
}

bool ApplyWorkdirExists(Child& child) {
  const char* cwd = child.process.cwd.c_str();
  const int fd = OpenInside(child.root, cwd);
  if (fd >= 0) {
    close(fd);
    return true;  // ApplyWorkdir checks that it is a directory the user may enter
  }
  if (errno != ENOENT) return true;
  const int made = OpenOrMakeInside(child.root, cwd, TargetType::kDirectory);
  if (made < 0) return child.Fail(cwd);
  close(made);
  return true;
}

}  // namespace crisp::shim
