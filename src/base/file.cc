#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "base/temporary_files.h"

namespace crisp::base {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
using UniqueDir = std::unique_ptr<DIR, CloseDir>;

absl::StatusOr<UniqueDir> OpenDirAt(int dir_fd, const std::string& name) {
  UniqueFd fd(openat(dir_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return Errno("open", name);
  DIR* dir = fdopendir(fd.get());
  if (dir == nullptr) return Errno("open directory", name);
  (void)fd.release();
  return UniqueDir(dir);
}

// Names for directories that are moved up. None of them exists: neither in the tree of a container,
// which cannot guess them, nor from an earlier removal that did not end.
class NewNames {
 public:
  std::string Next() { return absl::StrCat(prefix_, serial_++); }

 private:
  const std::string prefix_ = absl::StrCat(".crisp-hoisted-", NewId().substr(0, 16), "-");
  uint64_t serial_ = 0;
};

// Removes what is in the directory; sub-directories that are not empty are moved up into `top_fd`,
// so that a hostile tree of any depth needs neither recursion nor long paths.
absl::Status EmptyDirectory(int top_fd, DIR* dir, bool is_top, NewNames& names) {
  const int fd = dirfd(dir);
  rewinddir(dir);
  while (dirent* entry = readdir(dir)) {
    const absl::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return Errno("unlink", name);
    if (unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT) continue;
    if (errno != ENOTEMPTY && errno != EEXIST) return Errno("rmdir", name);
    if (is_top) continue;
    if (renameat(fd, entry->d_name, top_fd, names.Next().c_str()) != 0)
      return Errno("rename", name);
  }
  return absl::OkStatus();
}

// One pass over the directories directly below the top: each is emptied (its sub-directories move
// to the top) and removed. Returns whether it found any.
absl::StatusOr<bool> RemoveChildDirectories(int top_fd, DIR* top, NewNames& names) {
  bool found = false;
  rewinddir(top);
  while (dirent* entry = readdir(top)) {
    const absl::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    found = true;
    CRISP_ASSIGN_OR_RETURN(UniqueDir child, OpenDirAt(top_fd, entry->d_name));
    CRISP_RETURN_IF_ERROR(EmptyDirectory(top_fd, child.get(), /*is_top=*/false, names));
    child.reset();
    if (unlinkat(top_fd, entry->d_name, AT_REMOVEDIR) != 0 && errno != ENOENT)
      return Errno("rmdir", name);
  }
  return found;
}

}  // namespace

absl::StatusOr<UniqueFd> OpenAt(int dir_fd, const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(openat(dir_fd, path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.valid()) return Errno("open", path);
  return fd;
}

absl::StatusOr<UniqueFd> Open(const std::string& path, int flags, mode_t mode) {
  return OpenAt(AT_FDCWD, path, flags, mode);
}

absl::StatusOr<std::string> ReadAll(int fd, size_t max_bytes) {
  std::string data;
  size_t used = 0;
  while (true) {
    if (data.size() - used < 4096) data.resize(std::max<size_t>(8192, data.size() * 2));
    const ssize_t n = read(fd, data.data() + used, data.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read", "");
    if (n == 0) break;
    used += static_cast<size_t>(n);
    if (used > max_bytes)
      return absl::OutOfRangeError(absl::StrCat("more than ", max_bytes, " bytes"));
  }
  data.resize(used);
  return data;
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  CRISP_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY));
  absl::StatusOr<std::string> data = ReadAll(fd.get(), max_bytes);
  if (!data.ok()) return Prefix(data.status(), path);
  return data;
}

absl::Status CheckFileSize(absl::string_view text) {
  if (text.size() <= kMaxFileBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(text.size(), " bytes, at most ", kMaxFileBytes));
}

absl::Status WriteAll(int fd, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("write", "");
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status WriteExisting(const std::string& path, absl::string_view data) {
  CRISP_ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_WRONLY | O_TRUNC));
  ssize_t n;
  do {
    n = write(fd.get(), data.data(), data.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return Errno("write", path);
  return absl::OkStatus();
}

absl::Status WriteFileAtomic(const std::string& path, absl::string_view data, mode_t mode,
                             Durability durability) {
  const std::string temporary = absl::StrCat(path, kTemporaryMark, NewId().substr(0, 16));
  CRISP_ASSIGN_OR_RETURN(UniqueFd fd,
                         Open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  absl::Status status = Prefix(WriteAll(fd.get(), data), temporary);
  if (status.ok() && durability == Durability::kPower && fsync(fd.get()) != 0)
    status = Errno("fsync", temporary);
  base::Failpoint("file: written, not renamed");
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) status = Errno("rename", path);
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  if (durability == Durability::kPower) {
    const size_t slash = path.rfind('/');
    CRISP_ASSIGN_OR_RETURN(
        UniqueFd dir,
        Open(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY));
    if (fsync(dir.get()) != 0) return Errno("fsync directory of", path);
  }
  return absl::OkStatus();
}

absl::Status MakeDirs(const std::string& path, mode_t mode) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return Errno("mkdir", part);
    if (end == std::string::npos) return absl::OkStatus();
  }
}

absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path) {
  UniqueDir dir(opendir(path.c_str()));
  if (dir == nullptr) return Errno("open directory", path);
  std::vector<std::string> names;
  while (dirent* entry = readdir(dir.get())) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status RemoveTree(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  if (errno != EISDIR && errno != EPERM) return Errno("unlink", path);
  CRISP_ASSIGN_OR_RETURN(UniqueDir top, OpenDirAt(AT_FDCWD, path));
  const int top_fd = dirfd(top.get());
  NewNames names;
  CRISP_RETURN_IF_ERROR(Prefix(EmptyDirectory(top_fd, top.get(), /*is_top=*/true, names),
                               absl::StrCat("remove ", path)));
  while (true) {
    absl::StatusOr<bool> found = RemoveChildDirectories(top_fd, top.get(), names);
    if (!found.ok()) return Prefix(found.status(), absl::StrCat("remove ", path));
    if (!*found) break;
  }
  top.reset();
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) return Errno("rmdir", path);
  return absl::OkStatus();
}

std::string JoinPath(absl::string_view a, absl::string_view b) {
  while (a.size() > 1 && a.back() == '/') a.remove_suffix(1);
  while (!b.empty() && b.front() == '/') b.remove_prefix(1);
  if (b.empty()) return std::string(a);
  return absl::StrCat(a, a == "/" || a.empty() ? "" : "/", b);
}

absl::Status SyncDirectory(const std::string& path) {
  CRISP_ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY));
  return fsync(fd.get()) == 0 ? absl::OkStatus() : Errno("fsync directory", path);
}

}  // namespace crisp::base
