#include "linux/detached_tree.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "base/errno.h"

namespace crisp::linux {

absl::StatusOr<base::UniqueFd> OpenDetachedTree(const std::string& directory, bool read_only) {
  base::UniqueFd tree(open_tree(AT_FDCWD, directory.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return base::Errno("open_tree", directory);
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (read_only) attributes.attr_set |= MOUNT_ATTR_RDONLY;
  if (mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
    return base::Errno("mount_setattr", directory);
  }
  return tree;
}

}  // namespace crisp::linux
