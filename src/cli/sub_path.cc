#include "cli/sub_path.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "linux/mount_point.h"
#include "linux/rootfs_path.h"

namespace crisp::cli {

absl::Status BindSubPath(const std::string& volume, const std::string& sub_path,
                         const std::string& target) {
  constexpr mode_t kMode = 0755;
  constexpr mode_t kPermissions = 02777;  // with fsGroup the volume hands its group on
  CRISP_RETURN_IF_ERROR(DetachMounts(target));
  // Not what is in it, which would be the volume's files if it were a mount still.
  if (remove(target.c_str()) != 0 && errno != ENOENT) return base::Errno("remove", target);
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd root, base::Open(volume, O_PATH | O_DIRECTORY));
  absl::StatusOr<base::UniqueFd> found = linux::OpenInRoot(root.get(), sub_path, O_PATH);
  if (absl::IsNotFound(found.status())) {
    // Who may write to the volume may write there, too, as with kubelet and whatever the umask is.
    struct stat above;
    if (fstat(root.get(), &above) != 0) return base::Errno("stat", volume);
    found = linux::MakeDirsInRoot(root.get(), sub_path, kMode);
    if (found.ok() && chmod(absl::StrCat("/proc/self/fd/", found->get()).c_str(),
                            above.st_mode & kPermissions) != 0)
      return base::Errno("chmod", sub_path);
  }
  CRISP_RETURN_IF_ERROR(found.status());
  struct stat status;
  if (fstat(found->get(), &status) != 0) return base::Errno("stat", sub_path);
  if (S_ISDIR(status.st_mode)) {
    CRISP_RETURN_IF_ERROR(base::MakeDirs(target, kMode));
  } else {
    CRISP_RETURN_IF_ERROR(base::MakeDirs(target.substr(0, target.rfind('/')), kMode));
    CRISP_RETURN_IF_ERROR(base::WriteFileAtomic(target, "", 0600));
  }
  // The descriptor, not its path: what was resolved is what is mounted.
  const std::string source = absl::StrCat("/proc/self/fd/", found->get());
  if (mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return base::Errno("bind", absl::StrCat(sub_path, " to ", target));
  return absl::OkStatus();
}

absl::Status DetachMounts(const std::string& directory) {
  // Mounts are listed without links and double slashes, which the path may have.
  char real[PATH_MAX];
  if (realpath(directory.c_str(), real) == nullptr)
    return errno == ENOENT ? absl::OkStatus() : base::Errno("realpath", directory);
  const std::string top = real;
  CRISP_ASSIGN_OR_RETURN(const std::string text, base::ReadFile("/proc/self/mountinfo"));
  std::vector<std::string> found;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    constexpr size_t kMountPoint = 4;  // proc_pid_mountinfo(5)
    if (words.size() <= kMountPoint) continue;
    const std::string point = linux::DecodeMountPoint(words[kMountPoint]);
    if (point == top || absl::StartsWith(point, top + "/")) found.push_back(point);
  }
  // The last mounted first: it may be on another.
  for (size_t i = found.size(); i-- > 0;) {
    if (umount2(found[i].c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
      return base::Errno("unmount", found[i]);
  }
  return absl::OkStatus();
}

}  // namespace crisp::cli
