#include "cgroup/processes.h"

#include <dirent.h>
#include <fcntl.h>

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"

namespace crisp::cgroup {
namespace {

// A container can make groups below its own; without a limit it could keep crispd busy.
constexpr size_t kMaxGroups = 4096;

void AddSubGroups(const std::string& directory, std::vector<std::string>& groups) {
  DIR* const dir = opendir(directory.c_str());
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    const absl::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != ".." && groups.size() < kMaxGroups)
      groups.push_back(absl::StrCat(directory, "/", name));
  }
  closedir(dir);
}

}  // namespace

std::vector<pid_t> ReadProcesses(const Layout& layout, absl::string_view path) {
  // Every group has a directory in the cgroup2 hierarchy, on hybrid hosts too.
  std::vector<std::string> groups = {layout.At(path).v2};
  std::vector<pid_t> pids;
  for (size_t i = 0; i < groups.size(); ++i) {
    const absl::StatusOr<std::string> text = base::ReadFile(groups[i] + "/cgroup.procs");
    if (text.ok()) {
      for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
        pid_t pid = 0;
        if (absl::SimpleAtoi(line, &pid) && pid > 0) pids.push_back(pid);
      }
    }
    AddSubGroups(std::string(groups[i]), groups);
  }
  return pids;
}

}  // namespace crisp::cgroup
