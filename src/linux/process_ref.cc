#include "linux/process_ref.h"

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "linux/syscalls.h"

namespace crisp::linux {
namespace {

absl::Status Gone(pid_t pid) {
  return absl::NotFoundError(absl::StrCat("process ", pid, " is gone"));
}

absl::StatusOr<uint64_t> StartTicksBelow(int proc_directory) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::OpenAt(proc_directory, "stat", O_RDONLY));
  std::array<char, 1024> buffer;
  const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
  if (n < 0) return base::Errno("read", "stat");
  absl::string_view text(buffer.data(), static_cast<size_t>(n));
  // Field 2 is the name in parentheses and may itself hold spaces and parentheses: field 3 begins
  // after the last one.
  const size_t name_end = text.rfind(')');
  if (name_end == absl::string_view::npos) return absl::InternalError("stat: no process name");
  text.remove_prefix(name_end + 1);
  constexpr int kFieldsToSkip = 19;  // 3 to 21
  for (int i = 0; i < kFieldsToSkip; ++i) {
    const size_t space = text.find(' ', 1);
    if (space == absl::string_view::npos) return absl::InternalError("stat: too few fields");
    text.remove_prefix(space);
  }
  uint64_t ticks;
  text.remove_prefix(1);
  if (!absl::SimpleAtoi(text.substr(0, text.find(' ')), &ticks))
    return absl::InternalError("stat: field 22 is not a number");
  return ticks;
}

absl::StatusOr<base::UniqueFd> OpenDirectory(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid);
  base::UniqueFd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) return fd;
  if (errno == ENOENT) return Gone(pid);
  return base::Errno("open", path);
}

}  // namespace

absl::StatusOr<ProcessRef> ProcessRef::Of(pid_t pid) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd directory, OpenDirectory(pid));
  CRISP_ASSIGN_OR_RETURN(const uint64_t ticks, StartTicksBelow(directory.get()));
  return ProcessRef{.pid = pid, .start_ticks = ticks};
}

absl::StatusOr<base::UniqueFd> ProcessRef::Open() const {
  base::UniqueFd pidfd(PidfdOpen(pid));
  // EINVAL: the number belongs to a thread of another process by now.
  if (!pidfd.valid() && (errno == ESRCH || errno == EINVAL)) return Gone(pid);
  if (!pidfd.valid()) return base::Errno("pidfd_open", absl::StrCat("process ", pid));
  // Compared after the pidfd exists: a start time that matches now belongs to the process the pidfd
  // is of.
  CRISP_ASSIGN_OR_RETURN(const ProcessRef now, Of(pid));
  if (now.start_ticks != start_ticks) return Gone(pid);
  return pidfd;
}

absl::Status ProcessRef::Signal(int signal) const {
  const absl::StatusOr<base::UniqueFd> pidfd = Open();
  if (absl::IsNotFound(pidfd.status())) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(pidfd.status());
  if (SendSignal(pidfd->get(), signal) == 0 || errno == ESRCH) return absl::OkStatus();
  return base::Errno("signal", absl::StrCat("process ", pid));
}

bool ProcessRef::IsAlive() const {
  const absl::StatusOr<base::UniqueFd> pidfd = Open();
  if (!pidfd.ok()) return false;
  pollfd ended = {.fd = pidfd->get(), .events = POLLIN, .revents = 0};
  return poll(&ended, 1, 0) == 0;
}

absl::StatusOr<base::UniqueFd> ProcessRef::OpenProcDirectory() const {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd directory, OpenDirectory(pid));
  CRISP_ASSIGN_OR_RETURN(const uint64_t ticks, StartTicksBelow(directory.get()));
  if (ticks != start_ticks) return Gone(pid);
  return directory;
}

}  // namespace crisp::linux
