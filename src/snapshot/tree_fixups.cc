#include "snapshot/tree_fixups.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "linux/rootfs_path.h"
#include "snapshot/tree_metadata.h"

namespace crisp::snapshot {
namespace {

// "a/b/c" -> {"a/b", "c"}
std::pair<std::string, std::string> SplitPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// Restores the times of a directory at the end of its scope.
class KeepTimes {
 public:
  explicit KeepTimes(int fd) : fd_(fd) { valid_ = fstat(fd, &info_) == 0; }
  ~KeepTimes() {
    const timespec times[2] = {info_.st_mtim, info_.st_mtim};
    // An error here would have been reported by the calls before.
    if (valid_) (void)futimens(fd_, times);
  }
  KeepTimes(const KeepTimes&) = delete;
  KeepTimes& operator=(const KeepTimes&) = delete;

 private:
  const int fd_;
  bool valid_;
  struct stat info_ = {};
};

absl::Status CopyContents(int from, int to, SpaceGuard& guard) {
  constexpr size_t kStep = 4 << 20;
  while (true) {
    CRISP_RETURN_IF_ERROR(guard.Spend(kStep, 0));
    // Not copy_file_range(2), which does not copy from an overlay to another file system.
    const ssize_t n = sendfile(to, from, nullptr, kStep);
    if (n == 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return base::Errno("copy", "");
  }
}

// Copies an inode of a lower layer, like the copy-up of overlayfs. `name` must not exist.
absl::Status CopyUp(const MergedTree::Node& node, int dir_fd, const std::string& name,
                    SpaceGuard& guard) {
  const mode_t type = node.info.st_mode & S_IFMT;
  if (type == S_IFREG) {
    CRISP_ASSIGN_OR_RETURN(
        const base::UniqueFd from,
        base::OpenAt(node.directory.get(), node.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    CRISP_ASSIGN_OR_RETURN(
        const base::UniqueFd to,
        base::OpenAt(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    CRISP_RETURN_IF_ERROR(CopyContents(from.get(), to.get(), guard));
  } else if (type == S_IFLNK) {
    char target[PATH_MAX] = {};
    if (readlinkat(node.directory.get(), node.name.c_str(), target, sizeof(target) - 1) < 0) {
      return base::Errno("readlink", name);
    }
    if (symlinkat(target, dir_fd, name.c_str()) != 0) return base::Errno("symlink", name);
  } else if (mknodat(dir_fd, name.c_str(), type | 0600, node.info.st_rdev) != 0) {
    return base::Errno("mknod", name);
  }
  CRISP_ASSIGN_OR_RETURN(const Metadata data,
                         ReadMetadata(node.directory.get(), node.name, node.info));
  return ApplyMetadata(dir_fd, name, data, type, Fresh{});
}

class Fixups {
 public:
  Fixups(int root_fd, MergedTree& merged, Deferred& deferred, SpaceGuard& guard)
      : root_fd_(root_fd), merged_(merged), deferred_(deferred), guard_(guard) {}

  absl::Status Link(const Deferred::Link& link) {
    const auto [parent, name] = SplitPath(link.name);
    CRISP_ASSIGN_OR_RETURN(const base::UniqueFd dir, OpenDirectory(parent));
    const KeepTimes keep(dir.get());
    struct stat info;
    if (fstatat(dir.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      if (!IsWhiteout(info)) return absl::OkStatus();  // a later entry has replaced it
      if (unlinkat(dir.get(), name.c_str(), 0) != 0) return base::Errno("unlink", name);
    }
    CRISP_ASSIGN_OR_RETURN(const std::string target, merged_.Resolve(link.target, link.follow));
    CRISP_ASSIGN_OR_RETURN(auto node, merged_.Find(target));
    // The layer links b to a lower a and then deletes or replaces a: only b gets the lower file. A
    // path that leads elsewhere says nothing of when the layer got the file.
    const bool replaced = target == link.target && node.has_value() && node->layer == 0 &&
                          !link.follow && made_.count(node->info.st_ino) == 0;
    bool alone = false;
    if (!node.has_value() || replaced) {
      CRISP_ASSIGN_OR_RETURN(auto lower, merged_.Find(target, /*below_top=*/true));
      alone = lower.has_value();
      if (alone) node = std::move(lower);
    }
    if (!node.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("hard link to ", link.target, ": no such file in any layer"));
    }
    if (S_ISDIR(node->info.st_mode)) {
      return absl::InvalidArgumentError(absl::StrCat("hard link to a directory: ", link.target));
    }
    CRISP_RETURN_IF_ERROR(guard_.Spend(static_cast<uint64_t>(node->info.st_blocks) * 512, 1));
    CRISP_RETURN_IF_ERROR(alone ? CopyUp(*node, dir.get(), name, guard_)
                                : LinkOrCopy(target, *node, dir.get(), name));
    if (fstatat(dir.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return base::Errno("stat", name);
    }
    made_.insert(info.st_ino);
    return ApplyLinkMetadata(dir.get(), name, link.data, node->info);
  }

  absl::Status Directory(ino_t inode, const std::string& path) {
    auto fd = linux::OpenBeneath(root_fd_, path, O_RDONLY | O_DIRECTORY);
    if (!fd.ok()) return absl::OkStatus();  // replaced by a later entry
    struct stat info;
    if (fstat(fd->get(), &info) != 0) return base::Errno("stat", path);
    if (info.st_ino != inode) return absl::OkStatus();
    if (without_lower_.count(SplitPath(path).first) != 0) {
      without_lower_.insert(path);
      return absl::OkStatus();
    }
    CRISP_ASSIGN_OR_RETURN(const auto lower, merged_.Find(path, /*below_top=*/true));
    if (lower.has_value() && S_ISLNK(lower->info.st_mode)) return MoveBehindLink(path, *lower);
    if (!lower.has_value() || !S_ISDIR(lower->info.st_mode)) {
      without_lower_.insert(path);
      return absl::OkStatus();
    }
    CRISP_ASSIGN_OR_RETURN(const Metadata data,
                           ReadMetadata(lower->directory.get(), lower->name, lower->info));
    return ApplyMetadata(fd->get(), data, Fresh{});
  }

  // Parents before children, because a redirection moves the children.
  absl::Status Directories() {
    for (const auto& [inode, path] : deferred_.implicit_directories) pending_.emplace(path, inode);
    while (!pending_.empty()) {
      const auto [path, inode] = *pending_.begin();
      pending_.erase(pending_.begin());
      CRISP_RETURN_IF_ERROR(base::Prefix(Directory(inode, path), path));
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<base::UniqueFd> OpenDirectory(absl::string_view path) {
    return linux::OpenInRoot(root_fd_, path, O_RDONLY | O_DIRECTORY);
  }

  absl::Status LinkOrCopy(const std::string& target, const MergedTree::Node& node, int dir_fd,
                          const std::string& name) {
    const auto [target_parent, target_name] = SplitPath(target);
    if (node.layer != 0) CRISP_RETURN_IF_ERROR(MakeDirectories(target_parent));
    CRISP_ASSIGN_OR_RETURN(const base::UniqueFd target_dir, OpenDirectory(target_parent));
    const KeepTimes keep(target_dir.get());
    if (node.layer != 0) {
      CRISP_RETURN_IF_ERROR(CopyUp(node, target_dir.get(), target_name, guard_));
    }
    if (linkat(target_dir.get(), target_name.c_str(), dir_fd, name.c_str(), 0) != 0 &&
        errno != EEXIST) {  // EEXIST: a link to itself, which the copy has made
      return base::Errno("link", target);
    }
    return absl::OkStatus();
  }

  // Makes the missing directories of `path`; they get the metadata of the lower layers, like all
  // directories without an entry.
  absl::Status MakeDirectories(const std::string& path) {
    if (path.empty()) return absl::OkStatus();
    std::vector<std::string> created;
    CRISP_RETURN_IF_ERROR(MakeParents(root_fd_, path, created));
    for (const std::string& directory : created) {
      CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, OpenDirectory(directory));
      struct stat info;
      if (fstat(fd.get(), &info) != 0) return base::Errno("stat", directory);
      if (fchmod(fd.get(), 0755) != 0) return base::Errno("chmod", directory);
      deferred_.opaque.erase(info.st_ino);  // of a directory that was removed
      pending_.emplace(directory, info.st_ino);
    }
    return absl::OkStatus();
  }

  absl::Status MoveBehindLink(const std::string& path, const MergedTree::Node& link) {
    char text[PATH_MAX] = {};
    if (readlinkat(link.directory.get(), link.name.c_str(), text, sizeof(text) - 1) < 0) {
      return base::Errno("readlink", path);
    }
    const auto [parent, name] = SplitPath(path);
    const std::string from = text[0] == '/' ? text : absl::StrCat(parent, "/", text);
    CRISP_ASSIGN_OR_RETURN(const std::string target, merged_.Resolve(from, /*follow_last=*/true));
    if (target == path || absl::StartsWith(target, path + "/")) return absl::OkStatus();
    CRISP_RETURN_IF_ERROR(MakeDirectories(target));
    CRISP_RETURN_IF_ERROR(MoveChildren(path, target));
    CRISP_ASSIGN_OR_RETURN(const base::UniqueFd dir, OpenDirectory(parent));
    const KeepTimes keep(dir.get());
    if (unlinkat(dir.get(), name.c_str(), AT_REMOVEDIR) != 0) return base::Errno("rmdir", path);
    std::set<std::pair<std::string, ino_t>> moved;
    for (auto it = pending_.lower_bound({path + "/", 0});
         it != pending_.end() && absl::StartsWith(it->first, path + "/"); it = pending_.erase(it)) {
      moved.emplace(base::JoinPath(target, it->first.substr(path.size() + 1)), it->second);
    }
    pending_.insert(moved.begin(), moved.end());
    return absl::OkStatus();
  }

  // Merges a directory into another one of the same layer. Both have no entry and so few names.
  absl::Status MoveChildren(const std::string& from, const std::string& to) {
    std::vector<std::pair<std::string, std::string>> todo = {{from, to}};
    std::vector<std::string> emptied;
    while (!todo.empty()) {
      const auto [source, destination] = std::move(todo.back());
      todo.pop_back();
      CRISP_ASSIGN_OR_RETURN(const base::UniqueFd source_fd, OpenDirectory(source));
      CRISP_ASSIGN_OR_RETURN(const base::UniqueFd target_fd, OpenDirectory(destination));
      const KeepTimes keep(target_fd.get());
      CRISP_RETURN_IF_ERROR(WorkIn(source_fd.get()));
      CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> names, base::ListDir("."));
      for (const std::string& name : names) {
        if (renameat2(source_fd.get(), name.c_str(), target_fd.get(), name.c_str(), 0) == 0) {
          continue;
        }
        // These errors mean that both are directories and the target is not empty: merge them.
        if (errno != ENOTEMPTY && errno != EEXIST) return base::Errno("rename", source);
        todo.emplace_back(base::JoinPath(source, name), base::JoinPath(destination, name));
        emptied.push_back(base::JoinPath(source, name));
      }
    }
    for (auto it = emptied.rbegin(); it != emptied.rend(); ++it) {
      const auto [parent, name] = SplitPath(*it);
      CRISP_ASSIGN_OR_RETURN(const base::UniqueFd dir, OpenDirectory(parent));
      if (unlinkat(dir.get(), name.c_str(), AT_REMOVEDIR) != 0) return base::Errno("rmdir", *it);
    }
    return absl::OkStatus();
  }

  const int root_fd_;
  MergedTree& merged_;
  Deferred& deferred_;
  SpaceGuard& guard_;
  std::set<std::pair<std::string, ino_t>> pending_;
  // Files that links have put into the layer. Others were not there when the entries came that are
  // links now, unless a link of a lower layer led to them: their targets are files of lower layers.
  std::set<ino_t> made_;
  // Directories that are in no lower layer, and so nothing below them is: without these a name of
  // thousands of directories would need millions of look-ups.
  std::set<std::string> without_lower_;
};

}  // namespace

absl::Status ApplyFixups(int root_fd, MergedTree& merged, Deferred& deferred, SpaceGuard& guard) {
  Fixups fixups(root_fd, merged, deferred, guard);
  for (const Deferred::Link& link : deferred.links) {
    CRISP_RETURN_IF_ERROR(base::Prefix(fixups.Link(link), link.name));
  }
  return fixups.Directories();
}

}  // namespace crisp::snapshot
