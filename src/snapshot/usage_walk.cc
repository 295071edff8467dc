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
constexpr uint64_t kFew = 16'384;              // inodes or idle names, never too many
constexpr uint64_t kMany = uint64_t{1} << 24;  // for a file system that does not count inodes
constexpr uint64_t kIdleNamesHere = 256;

// The error of something that was removed or replaced since its name was read.
bool Vanished() { return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ESTALE; }

UsageWalk::Limits LimitsFor(int fd) {
  struct statfs numbers;
  if (fstatfs(fd, &numbers) != 0 || numbers.f_files == 0)
    return {.inodes = kMany, .idle_names = kMany};
  const uint64_t most = kFew + 2 * (numbers.f_files - numbers.f_ffree);
  return {.inodes = most, .idle_names = most};
}

}  // namespace

absl::StatusOr<std::unique_ptr<UsageWalk>> UsageWalk::Begin(base::UniqueFd root,
                                                            std::optional<Limits> limits) {
  struct stat info;
  if (fstat(root.get(), &info) != 0) return base::Errno("stat", "");
  if (!limits.has_value()) limits = LimitsFor(root.get());
  std::unique_ptr<UsageWalk> walk(new UsageWalk(std::move(root), info.st_dev, *limits));
  CRISP_RETURN_IF_ERROR(walk->AddDirectory(walk->root_.get(), ".").status());
  return walk;
}

absl::StatusOr<UsageWalk::Progress> UsageWalk::Step(absl::FunctionRef<bool()> stop) {
  while (true) {
    if (dir_ == nullptr) {
      if (to_read_.empty()) return left_out_ ? Progress::kCut : Progress::kDone;
      CRISP_RETURN_IF_ERROR(OpenNext());
      continue;
    }
    if (++names_ % kNamesBetweenStops == 0 && stop()) return Progress::kMore;
    if (counted_.inodes > limits_.inodes) return Progress::kCut;
    errno = 0;
    const dirent* entry = readdir(dir_.get());
    if (entry == nullptr) {
      if (errno != 0 && !Vanished()) return base::Errno("read directory", "");
      dir_.reset();
    } else if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
      CRISP_ASSIGN_OR_RETURN(const bool useful, Visit(entry->d_name));
      if (!useful && SpendIdleName()) {
        left_out_ = true;
        dir_.reset();
      }
    }
  }
}

bool UsageWalk::SpendIdleName() {
  uint64_t& left = idle_left_ > 0 ? idle_left_ : idle_left_here_;
  if (left == 0) return true;
  --left;
  return false;
}

bool UsageWalk::Count(const struct stat& info) {
  constexpr uint64_t kBlock = 512;  // the unit of st_blocks
  const uint64_t bytes = static_cast<uint64_t>(info.st_blocks) * kBlock;
  const uint64_t bit = uint64_t{1} << (info.st_ino % 64);
  const bool has_links = !S_ISDIR(info.st_mode) && info.st_nlink > 1;
  auto group = seen_.find(info.st_ino / 64);
  if (group == seen_.end() && seen_.size() < limits_.groups)
    group = seen_.emplace(info.st_ino / 64, 0).first;
  if (group == seen_.end()) {
    left_out_ = true;
    if (has_links) {  // all its names together count what it has
      counted_.bytes += bytes / info.st_nlink;
      return false;
    }
  } else if ((group->second & bit) != 0) {
    if (!has_links || links_ahead_ == 0) return false;
    --links_ahead_;
    return true;
  } else {
    group->second |= bit;
    if (has_links) links_ahead_ += info.st_nlink - 1;
  }
  counted_.bytes += bytes;
  ++counted_.inodes;
  return true;
}

absl::StatusOr<bool> UsageWalk::Visit(const char* name) {
  struct stat info;
  const int parent = dirfd(dir_.get());
  if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    return Vanished() ? absl::StatusOr<bool>(false) : base::Errno("stat", name);
  if (S_ISDIR(info.st_mode)) return AddDirectory(parent, name);
  return info.st_dev != device_ || Count(info);
}

// The name may lead to another directory at each look: it is looked up once.
absl::StatusOr<bool> UsageWalk::AddDirectory(int parent, const char* name) {
  const base::UniqueFd fd(openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0)
    return Vanished() ? absl::StatusOr<bool>(false) : base::Errno("open directory", name);
  if (info.st_dev != device_) return true;
  if (!Count(info)) return false;
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
  Keep(handle);
  return true;
}

// Without room it replaces another with the chance that leaves each of those met the same.
void UsageWalk::Keep(const Handle& handle) {
  ++met_;
  if (to_read_.size() < limits_.directories) return to_read_.push_back(handle);
  left_out_ = true;
  const uint64_t place = std::uniform_int_distribution<uint64_t>(0, met_ - 1)(random_);
  if (place < to_read_.size()) to_read_[place] = handle;
}

absl::Status UsageWalk::OpenNext() {
  const Handle handle = to_read_.front();
  to_read_.pop_front();
  idle_left_here_ = kIdleNamesHere;
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
