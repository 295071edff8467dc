#include "cgroup/join.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::cgroup {
namespace {

// Reads a small file like cgroup.events from its start and returns the number after "<key> ".
absl::StatusOr<uint64_t> ReadCounter(int fd, absl::string_view key) {
  std::array<char, 512> buffer;
  const ssize_t n = pread(fd, buffer.data(), buffer.size(), 0);
  if (n < 0) return base::Errno("read", key);
  absl::string_view text(buffer.data(), static_cast<size_t>(n));
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const absl::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    uint64_t value = 0;
    if (line.size() > key.size() && line.substr(0, key.size()) == key && line[key.size()] == ' ' &&
        absl::SimpleAtoi(line.substr(key.size() + 1), &value)) {
      return value;
    }
  }
  return absl::NotFoundError(absl::StrCat("read ", key, ": no such line"));
}

// For messages: the path behind a descriptor, or its number where /proc is not mounted.
std::string NameOf(int fd) {
  std::array<char, 4096> buffer;
  const std::string link = absl::StrCat("/proc/self/fd/", fd);
  const ssize_t n = readlink(link.c_str(), buffer.data(), buffer.size());
  return n > 0 ? std::string(buffer.data(), static_cast<size_t>(n)) : absl::StrCat("fd ", fd);
}

absl::StatusOr<base::UniqueFd> OpenGroup(int directory_fd, const std::string& name) {
  return base::OpenAt(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// FailedPrecondition while a process or a group is in it, OK when it does not exist.
absl::Status RemoveGroup(int directory_fd, const std::string& name) {
  if (unlinkat(directory_fd, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT)
    return absl::OkStatus();
  if (errno != EBUSY) return base::Errno("remove cgroup", name);
  return absl::FailedPreconditionError(
      absl::StrCat("remove cgroup ", name, ": ", base::ErrnoText(EBUSY)));
}

// The name of a group in an open one; "" when it has none or was removed meanwhile.
absl::StatusOr<std::string> AnySubGroup(int group_fd) {
  absl::StatusOr<base::UniqueFd> fd = base::OpenAt(group_fd, ".", O_RDONLY | O_DIRECTORY);
  if (absl::IsNotFound(fd.status())) return std::string();
  CRISP_RETURN_IF_ERROR(fd.status());
  DIR* const directory = fdopendir(fd->get());
  if (directory == nullptr) return base::Errno("list cgroup", NameOf(group_fd));
  (void)fd->release();  // closedir() closes it
  std::string name;
  while (const dirent* entry = readdir(directory)) {
    const absl::string_view found = entry->d_name;
    if (entry->d_type == DT_DIR && found != "." && found != "..") name = std::string(found);
    if (!name.empty()) break;
  }
  closedir(directory);
  return name;
}

}  // namespace

absl::StatusOr<JoinFds> OpenJoin(const Directories& directories) {
  JoinFds fds;
  CRISP_ASSIGN_OR_RETURN(fds.v2, base::Open(directories.v2, O_RDONLY | O_DIRECTORY));
  fds.tasks.reserve(directories.v1.size());
  for (const std::string& directory : directories.v1) {
    CRISP_ASSIGN_OR_RETURN(base::UniqueFd tasks,
                           base::Open(base::JoinPath(directory, "tasks"), O_WRONLY));
    fds.tasks.push_back(std::move(tasks));
  }
  if (!directories.oom_file.empty()) {
    CRISP_ASSIGN_OR_RETURN(fds.oom, base::Open(directories.oom_file, O_RDONLY));
  }
  return fds;
}

absl::Status JoinSelf(const std::vector<base::UniqueFd>& tasks) {
  for (const base::UniqueFd& fd : tasks) {
    ssize_t n;
    do {
      n = write(fd.get(), "0", 1);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
      const int error = errno;
      return base::Errno("join", NameOf(fd.get()), error);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> OomKills(int oom_fd) { return ReadCounter(oom_fd, "oom_kill"); }

std::string ExecGroupName(uint64_t serial) {
  std::string letters = absl::StrCat(serial);
  for (char& digit : letters) digit = static_cast<char>(digit - '0' + 'a');
  return "exec" + letters;
}

absl::StatusOr<base::UniqueFd> MakeExecGroup(int container_v2_fd, uint64_t serial) {
  const std::string name = ExecGroupName(serial);
  if (mkdirat(container_v2_fd, name.c_str(), 0755) != 0) return base::Errno("make cgroup", name);
  return OpenGroup(container_v2_fd, name);
}

absl::Status KillGroup(int v2_fd) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::OpenAt(v2_fd, "cgroup.kill", O_WRONLY));
  return base::Prefix(base::WriteAll(fd.get(), "1"), "cgroup.kill");
}

absl::Status RemoveExecGroup(int container_v2_fd, uint64_t serial, base::Deadline deadline) {
  const std::string name = ExecGroupName(serial);
  const absl::Status removed = RemoveGroup(container_v2_fd, name);
  if (!absl::IsFailedPrecondition(removed)) return removed;
  // Of a group in use those below stay, too: their maker may only not have filled them yet.
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd group, OpenGroup(container_v2_fd, name));
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd events, OpenEvents(group.get()));
  CRISP_ASSIGN_OR_RETURN(const bool populated, Populated(events.get()));
  if (populated) return removed;
  const absl::Status all = RemoveGroupTree(container_v2_fd, name, deadline);
  return absl::IsDeadlineExceeded(all) ? absl::FailedPreconditionError(all.message()) : all;
}

absl::Status RemoveGroupTree(int directory_fd, const std::string& name, base::Deadline deadline) {
  const absl::Status removed = RemoveGroup(directory_fd, name);
  if (!absl::IsFailedPrecondition(removed)) return removed;
  absl::StatusOr<base::UniqueFd> top = OpenGroup(directory_fd, name);
  if (absl::IsNotFound(top.status())) return absl::OkStatus();  // another call removes it, too
  CRISP_RETURN_IF_ERROR(top.status());
  // Step by step, as a path can be longer than the kernel takes.
  base::UniqueFd group = *std::move(top);
  std::vector<std::string> way = {name};
  while (!way.empty()) {
    if (deadline.Passed()) {
      return absl::DeadlineExceededError(
          absl::StrCat("remove cgroup ", name, ": there are too many groups below it"));
    }
    CRISP_ASSIGN_OR_RETURN(std::string below, AnySubGroup(group.get()));
    if (!below.empty()) {
      absl::StatusOr<base::UniqueFd> inner = OpenGroup(group.get(), below);
      if (absl::IsNotFound(inner.status())) continue;
      CRISP_RETURN_IF_ERROR(inner.status());
      group = *std::move(inner);
      way.push_back(std::move(below));
      continue;
    }
    base::UniqueFd parent;
    if (way.size() > 1) {
      CRISP_ASSIGN_OR_RETURN(parent, base::OpenAt(group.get(), "..", O_RDONLY | O_DIRECTORY));
    }
    CRISP_RETURN_IF_ERROR(RemoveGroup(parent.valid() ? parent.get() : directory_fd, way.back()));
    way.pop_back();
    group = std::move(parent);
  }
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> OpenEvents(int v2_fd) {
  return base::OpenAt(v2_fd, "cgroup.events", O_RDONLY);
}

absl::StatusOr<bool> Populated(int events_fd) {
  CRISP_ASSIGN_OR_RETURN(const uint64_t populated, ReadCounter(events_fd, "populated"));
  return populated != 0;
}

namespace {

// Whether the group is empty before the deadline.
absl::StatusOr<bool> AwaitEmpty(int events_fd, base::Deadline deadline) {
  while (true) {
    CRISP_ASSIGN_OR_RETURN(const bool populated, Populated(events_fd));
    if (!populated || deadline.Passed()) return !populated;
    pollfd change = {.fd = events_fd, .events = POLLPRI, .revents = 0};
    (void)poll(&change, 1, deadline.PollMillis());
  }
}

}  // namespace

absl::Status EndProgramGroup(const std::string& directory, base::Deadline deadline,
                             absl::Duration patience) {
  const base::UniqueFd group(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group.valid() && errno == ENOENT) return absl::OkStatus();
  if (!group.valid()) return base::Errno("open cgroup", directory);
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd events, OpenEvents(group.get()));
  const base::Deadline kill = std::min(base::Deadline::In(patience), deadline);
  CRISP_ASSIGN_OR_RETURN(bool empty, AwaitEmpty(events.get(), kill));
  if (!empty) {
    CRISP_RETURN_IF_ERROR(KillGroup(group.get()));
    CRISP_ASSIGN_OR_RETURN(empty, AwaitEmpty(events.get(), deadline));
  }
  if (!empty) {
    return absl::DeadlineExceededError(
        absl::StrCat("cgroup ", directory, ": a process does not end"));
  }
  if (rmdir(directory.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return base::Errno("remove cgroup", directory);
}

absl::StatusOr<base::UniqueFd> MakeProgramGroup(const std::string& directory,
                                                base::Deadline deadline) {
  CRISP_RETURN_IF_ERROR(EndProgramGroup(directory, deadline));
  if (mkdir(directory.c_str(), 0755) != 0) return base::Errno("make cgroup", directory);
  return base::OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace crisp::cgroup
