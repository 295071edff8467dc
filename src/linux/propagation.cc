#include "linux/propagation.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::linux {

absl::StatusOr<Propagation> PropagationOf(const std::string& path) {
  struct statx info;
  if (statx(AT_FDCWD, path.c_str(), 0, STATX_MNT_ID, &info) != 0) {
    return base::Errno("statx", path);
  }
  CRISP_ASSIGN_OR_RETURN(const std::string table, base::ReadFile("/proc/self/mountinfo"));
  const std::string id = absl::StrCat(info.stx_mnt_id);
  for (const absl::string_view line : absl::StrSplit(table, '\n')) {
    // "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw"; see proc(5).
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 7 || fields[0] != id) continue;
    Propagation found{.mount_point = std::string(fields[4])};
    for (size_t i = 6; i < fields.size() && fields[i] != "-"; ++i) {
      found.shared = found.shared || absl::StartsWith(fields[i], "shared:");
      found.slave = found.slave || absl::StartsWith(fields[i], "master:");
    }
    return found;
  }
  return absl::NotFoundError(absl::StrCat(path, ": its mount is not in /proc/self/mountinfo"));
}

}  // namespace crisp::linux
