#include "linux/null_device.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::linux {
namespace {

absl::StatusOr<base::UniqueFd> ReadOnlyTree(const char* path) {
  base::UniqueFd tree(open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return base::Errno("open_tree", path);
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  if (mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0) {
    return base::Errno("mount_setattr", path);
  }
  return tree;
}

}  // namespace

absl::StatusOr<base::UniqueFd> OpenNull() {
  static const absl::StatusOr<base::UniqueFd> tree = ReadOnlyTree("/dev/null");
  CRISP_RETURN_IF_ERROR(tree.status());
  // Opened anew for every caller: flags and locks belong to the open file description, and
  // containers must not share them.
  return base::Open(absl::StrCat("/proc/self/fd/", tree->get()), O_RDWR);
}

}  // namespace crisp::linux
