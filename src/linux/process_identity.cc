#include "linux/process_identity.h"

#include <fcntl.h>

#include <array>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::linux {
namespace {

absl::StatusOr<uint64_t> StartTicksBelow(int proc_directory) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, base::OpenAt(proc_directory, "stat", O_RDONLY));
  std::array<char, 1024> buffer;
  const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
  if (n < 0) return base::Errno("read", "stat");
  absl::string_view text(buffer.data(), static_cast<size_t>(n));
  // Field 2 is the name in parentheses and may hold spaces and parentheses; fields 3.. follow the
  // last one.
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
    return absl::InternalError("stat: bad start time");
  return ticks;
}

absl::StatusOr<base::UniqueFd> OpenDirectory(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid);
  base::UniqueFd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) return fd;
  if (errno == ENOENT) return absl::NotFoundError(absl::StrCat("process ", pid, " is gone"));
  return base::Errno("open", path);
}

}  // namespace

absl::StatusOr<uint64_t> StartTicks(pid_t pid) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd directory, OpenDirectory(pid));
  return StartTicksBelow(directory.get());
}

absl::StatusOr<base::UniqueFd> OpenProcDirectory(pid_t pid, uint64_t start_ticks) {
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd directory, OpenDirectory(pid));
  const absl::StatusOr<uint64_t> ticks = StartTicksBelow(directory.get());
  if (!ticks.ok() || *ticks != start_ticks)
    return absl::NotFoundError(absl::StrCat("process ", pid, " is gone"));
  return directory;
}

}  // namespace crisp::linux
