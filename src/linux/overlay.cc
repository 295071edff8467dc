#include "linux/overlay.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/thread.h"
#include "linux/overlay_options.h"

namespace crisp::linux {
namespace {

absl::StatusOr<base::UniqueFd> MountPrivately(const std::string& base, const std::string& options) {
  // The mount namespace and working directory of this thread end with the thread.
  if (unshare(CLONE_NEWNS) != 0) return base::Errno("unshare", "mount namespace");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return base::Errno("make private", "/");
  if (chdir(base.c_str()) != 0) return base::Errno("chdir", base);
  // Any existing directory would do as the mount point. `base` works, because the kernel resolves
  // the layers' names before it covers the directory.
  if (mount("overlay", base.c_str(), "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
            options.c_str()) != 0) {
    return base::Errno("mount overlay", options.substr(0, 200));
  }
  const int tree = static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, base.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (tree < 0) return base::Errno("open_tree", base);
  return base::UniqueFd(tree);
}

}  // namespace

absl::StatusOr<base::UniqueFd> OpenOverlay(const std::string& base,
                                           const std::vector<std::string>& lowers) {
  if (lowers.size() == 1) return base::Open(base::JoinPath(base, lowers[0]), O_PATH | O_DIRECTORY);
  CRISP_ASSIGN_OR_RETURN(const std::string options, OverlayOptions(lowers, "", ""));
  absl::StatusOr<base::UniqueFd> tree = absl::InternalError("");
  CRISP_ASSIGN_OR_RETURN(base::Thread thread, base::StartThread("overlay", [&] {
                           tree = MountPrivately(base, options);
                         }));
  thread.Join();
  return tree;
}

}  // namespace crisp::linux
