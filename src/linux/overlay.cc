#include "linux/overlay.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/thread.h"
#include "linux/overlay_options.h"

namespace crisp::linux {
namespace {

// Attaches the layers, which are relative to the working directory, to a tmpfs over `base` as 0, 1,
// .. and names them so.
absl::Status Shorten(const std::string& base, std::vector<std::string>& lowers) {
  if (mount("tmpfs", base.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700") != 0) {
    return base::Errno("mount tmpfs", base);
  }
  for (size_t i = 0; i < lowers.size(); ++i) {
    const base::UniqueFd tree(
        open_tree(AT_FDCWD, lowers[i].c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (!tree.valid()) return base::Errno("open_tree", lowers[i]);
    lowers[i] = absl::StrCat(i);
    const std::string place = base::JoinPath(base, lowers[i]);
    if (mkdir(place.c_str(), 0700) != 0) return base::Errno("mkdir", place);
    if (move_mount(tree.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      return base::Errno("move_mount", place);
    }
  }
  return chdir(base.c_str()) == 0 ? absl::OkStatus() : base::Errno("chdir", base);
}

absl::StatusOr<base::UniqueFd> MountPrivately(const std::string& base,
                                              std::vector<std::string> lowers,
                                              std::string options) {
  // The mount namespace and working directory of this thread end with the thread.
  if (unshare(CLONE_NEWNS) != 0) return base::Errno("unshare", "mount namespace");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return base::Errno("make private", "/");
  if (chdir(base.c_str()) != 0) return base::Errno("chdir", base);
  if (options.size() > kMaxOverlayOptions) {
    CRISP_RETURN_IF_ERROR(Shorten(base, lowers));
    CRISP_ASSIGN_OR_RETURN(options, OverlayOptions(lowers, "", ""));
  }
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
                           tree = MountPrivately(base, lowers, options);
                         }));
  thread.Join();
  return tree;
}

}  // namespace crisp::linux
