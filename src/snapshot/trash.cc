#include "snapshot/trash.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "snapshot/tree_walk.h"

namespace crisp::snapshot {
namespace {

// Until what could not be removed is tried again; doubled each time. No event tells that it can be.
constexpr absl::Duration kFirstRest = absl::Seconds(1);
constexpr absl::Duration kLongestRest = absl::Minutes(5);

// A container with CAP_LINUX_IMMUTABLE can set these on its own files.
void ClearFlags(int fd) {
  int flags = 0;
  constexpr int kInTheWay = FS_IMMUTABLE_FL | FS_APPEND_FL;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 || (flags & kInTheWay) == 0) return;
  flags &= ~kInTheWay;
  // If this fails, the removal fails again.
  (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

void ClearFlagsBelow(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW;
  const auto root = base::Open(path, kFlags | O_DIRECTORY);
  if (!root.ok()) return;
  ClearFlags(root->get());
  (void)WalkTree(root->get(), [](int dir_fd, const char* name, const struct stat& info) {
    // Devices and FIFOs cannot have the flags, and opening them may have side effects.
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return;
    const auto fd = base::OpenAt(dir_fd, name, kFlags);
    if (fd.ok()) ClearFlags(fd->get());
  });
}

}  // namespace

absl::Status Trash::Start(std::function<bool()> before) {
  before_ = std::move(before);
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("trash", [this] { Run(); }));
  return absl::OkStatus();
}

Trash::~Trash() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
}

absl::Status Trash::Throw(const std::string& path) {
  const std::string to = base::JoinPath(directory_, base::NewId().substr(0, 16));
  bool moved = rename(path.c_str(), to.c_str()) == 0;
  if (!moved && errno == ENOENT) {
    struct stat info;
    if (lstat(path.c_str(), &info) != 0 && errno == ENOENT) return absl::OkStatus();
    // The directory is missing: at the start the disk was too full for it.
    CRISP_RETURN_IF_ERROR(base::MakeDirs(directory_, 0700));
    moved = rename(path.c_str(), to.c_str()) == 0;
  }
  if (!moved) return base::Errno("rename to trash", path);
  Wake();
  return absl::OkStatus();
}

void Trash::Wake() {
  absl::MutexLock lock(&mu_);
  full_ = true;
  changed_.NotifyAll();
}

void Trash::Run() {
  absl::Duration rest = kFirstRest;
  base::Deadline again = base::Deadline::Never();
  while (AwaitWork(again)) {
    const bool done = before_();  // may throw away more
    const bool empty = EmptyOnce() && done;
    again = empty ? base::Deadline::Never() : base::Deadline::In(rest);
    rest = empty ? kFirstRest : std::min(2 * rest, kLongestRest);
  }
}

bool Trash::AwaitWork(base::Deadline again) {
  absl::MutexLock lock(&mu_);
  while (!stop_ && !full_ && !again.Passed()) changed_.Wait(mu_, again);
  full_ = false;  // before the directory is listed: later trees need another pass
  return !stop_;
}

bool Trash::EmptyOnce() {
  const auto names = base::ListDir(directory_);
  if (!names.ok()) return absl::IsNotFound(names.status());
  bool empty = true;
  for (const std::string& name : *names) {
    {
      absl::MutexLock lock(&mu_);
      if (stop_) return true;
    }
    const std::string path = base::JoinPath(directory_, name);
    base::Failpoint("trash: not empty");
    if (base::RemoveTree(path).ok()) continue;
    ClearFlagsBelow(path);
    if (!base::RemoveTree(path).ok()) empty = false;
  }
  return empty;
}

}  // namespace crisp::snapshot
