#include "snapshot/usage_walk.h"

#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/errno.h"
#include "base/status_macros.h"

namespace crisp::snapshot {
namespace {

constexpr int kReadFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME;
constexpr int kNamesBetweenStops = 32;
constexpr uint64_t kFewNames = 16'384;              // never too many
constexpr uint64_t kManyNames = uint64_t{1} << 24;  // for a file system that does not count inodes
constexpr size_t kMaxGroups = 256 << 10;
constexpr size_t kMaxToRead = 256 << 10;

// The error of something that was removed or replaced since its name was read.
bool Vanished() { return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ESTALE; }

uint64_t MaxNames(int fd) {
  struct statfs numbers;
  if (fstatfs(fd, &numbers) != 0 || numbers.f_files == 0) return kManyNames;
  return kFewNames + 2 * (numbers.f_files - numbers.f_ffree);
}

}  // namespace

absl::StatusOr<std::unique_ptr<UsageWalk>> UsageWalk::Begin(base::UniqueFd root,
                                                            std::optional<uint64_t> max_names) {
  struct stat info;
  if (fstat(root.get(), &info) != 0) return base::Errno("stat", "");
  const uint64_t most = max_names.value_or(MaxNames(root.get()));
  std::unique_ptr<UsageWalk> walk(new UsageWalk(std::move(root), info.st_dev, most));
  CRISP_RETURN_IF_ERROR(walk->AddDirectory(walk->root_.get(), "."));
  return walk;
}

absl::StatusOr<UsageWalk::Progress> UsageWalk::Step(absl::FunctionRef<bool()> stop) {
  while (true) {
    if (dir_ == nullptr) {
      if (to_read_.empty()) return Progress::kDone;
      CRISP_RETURN_IF_ERROR(OpenNext());
      continue;
    }
    if (++names_ % kNamesBetweenStops == 0 && stop()) return Progress::kMore;
    if (TooMuch()) return Progress::kCut;
    errno = 0;
    const dirent* entry = readdir(dir_.get());
    if (entry == nullptr) {
      if (errno != 0 && !Vanished()) return base::Errno("read directory", "");
      dir_.reset();
    } else if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
      CRISP_RETURN_IF_ERROR(Visit(entry->d_name));
    }
  }
}

bool UsageWalk::TooMuch() const {
  return names_ > max_names_ || seen_.size() > kMaxGroups || to_read_.size() > kMaxToRead;
}

bool UsageWalk::Count(const struct stat& info) {
  constexpr uint64_t kBlock = 512;  // the unit of st_blocks
  uint64_t& group = seen_[info.st_ino / 64];
  const uint64_t bit = uint64_t{1} << (info.st_ino % 64);
  if ((group & bit) != 0) return false;
  group |= bit;
  counted_.bytes += static_cast<uint64_t>(info.st_blocks) * kBlock;
  ++counted_.inodes;
  return true;
}

absl::Status UsageWalk::Visit(const char* name) {
  struct stat info;
  const int parent = dirfd(dir_.get());
  if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    return Vanished() ? absl::OkStatus() : base::Errno("stat", name);
  if (S_ISDIR(info.st_mode)) return AddDirectory(parent, name);
  if (info.st_dev == device_) Count(info);
  return absl::OkStatus();
}

// The name may lead to another directory at each look: it is looked up once.
absl::Status UsageWalk::AddDirectory(int parent, const char* name) {
  const base::UniqueFd fd(openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0)
    return Vanished() ? absl::OkStatus() : base::Errno("open directory", name);
  if (info.st_dev != device_ || !Count(info)) return absl::OkStatus();
  Handle handle;
  alignas(file_handle) char buffer[sizeof(file_handle) + sizeof(handle.bytes)];
  auto* const raw = new (buffer) file_handle;
  raw->handle_bytes = sizeof(handle.bytes);
  int mount = 0;
  if (name_to_handle_at(fd.get(), "", raw, &mount, AT_EMPTY_PATH) != 0)
    return base::Errno("name_to_handle_at", name);
  handle.type = raw->handle_type;
  handle.size = raw->handle_bytes;
  std::memcpy(handle.bytes.data(), raw->f_handle, handle.size);
  to_read_.push_back(handle);
  return absl::OkStatus();
}

absl::Status UsageWalk::OpenNext() {
  const Handle handle = to_read_.back();
  to_read_.pop_back();
  alignas(file_handle) char buffer[sizeof(file_handle) + sizeof(handle.bytes)];
  auto* const raw = new (buffer) file_handle;
  raw->handle_type = handle.type;
  raw->handle_bytes = handle.size;
  std::memcpy(raw->f_handle, handle.bytes.data(), handle.size);
  base::UniqueFd fd(open_by_handle_at(root_.get(), raw, kReadFlags));
  if (!fd.valid()) return Vanished() ? absl::OkStatus() : base::Errno("open_by_handle_at", "");
  dir_.reset(fdopendir(fd.get()));
  if (dir_ == nullptr) return base::Errno("open directory", "");
  (void)fd.release();
  return absl::OkStatus();
}

}  // namespace crisp::snapshot
