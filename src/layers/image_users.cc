#include "layers/image_users.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "linux/overlay.h"
#include "linux/rootfs_path.h"
#include "spec/user.h"

namespace crisp::layers {
namespace {

// A missing file is empty. O_NONBLOCK: a FIFO in the image must not hold the daemon; then only a
// regular file counts.
absl::StatusOr<std::string> ReadUserFile(int root_fd, const std::string& path) {
  absl::StatusOr<base::UniqueFd> fd =
      linux::OpenInRoot(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (absl::IsNotFound(fd.status())) return std::string();
  if (absl::IsResourceExhausted(fd.status())) return fd.status();
  if (!fd.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("image's ", path, ": ", fd.status().message()));
  }
  struct stat info;
  if (fstat(fd->get(), &info) != 0) return base::Errno("stat", path);
  if (!S_ISREG(info.st_mode) || info.st_size > static_cast<off_t>(spec::kMaxUserFileBytes)) {
    return absl::InvalidArgumentError(absl::StrCat("image's ", path,
                                                   ": must be a regular file of at most ",
                                                   spec::kMaxUserFileBytes, " bytes"));
  }
  absl::StatusOr<std::string> text = base::ReadAll(fd->get(), spec::kMaxUserFileBytes);
  return text.ok() ? text : base::Prefix(text.status(), absl::StrCat("image's ", path));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const UserFiles>> ImageUsers::Read(
    const std::string& image_id, const snapshot::RootfsView& view) {
  {
    absl::MutexLock lock(&mu_);
    auto it = files_.find(image_id);
    if (it != files_.end()) return it->second;
  }
  auto files = std::make_shared<UserFiles>();
  if (!view.lowers.empty()) {
    CRISP_ASSIGN_OR_RETURN(base::UniqueFd root, linux::OpenOverlay(view.base, view.lowers));
    CRISP_ASSIGN_OR_RETURN(files->passwd, ReadUserFile(root.get(), "/etc/passwd"));
    CRISP_ASSIGN_OR_RETURN(files->group, ReadUserFile(root.get(), "/etc/group"));
  }
  if (files->passwd.size() + files->group.size() <= kMaxRememberedBytes) {
    absl::MutexLock lock(&mu_);
    if (files_.size() >= kMaxImages) files_.erase(files_.begin());
    files_[image_id] = files;
  }
  return files;
}

}  // namespace crisp::layers
