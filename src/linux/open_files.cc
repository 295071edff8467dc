#include "linux/open_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace crisp::linux {

OpenFiles CountOpenFiles(const std::vector<pid_t>& pids, uint64_t max_descriptors) {
  OpenFiles count;
  for (const pid_t pid : pids) {
    DIR* const dir = opendir(absl::StrCat("/proc/", pid, "/fd").c_str());
    if (dir == nullptr) continue;  // the process has exited
    while (const dirent* entry = readdir(dir)) {
      if (entry->d_name[0] == '.') continue;
      if (count.descriptors >= max_descriptors) {
        closedir(dir);
        return count;
      }
      ++count.descriptors;
      char target[16];
      const ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));
      if (n > 0 && absl::StartsWith(absl::string_view(target, static_cast<size_t>(n)), "socket:"))
        ++count.sockets;
    }
    closedir(dir);
  }
  return count;
}

void RaiseMaxOpenFiles() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

std::optional<uint64_t> MaxOpenFiles(pid_t pid) {
  rlimit limit;
  if (prlimit(pid, RLIMIT_NOFILE, nullptr, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return std::nullopt;
  return limit.rlim_cur;
}

}  // namespace crisp::linux
