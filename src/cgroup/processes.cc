#include "cgroup/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"

namespace crisp::cgroup {
namespace {

// A container can make groups below its own; without a limit it could keep crispd busy.
constexpr size_t kMaxGroups = 256;
// Of each group's list of processes, when they are only counted.
constexpr size_t kMaxListBytes = 64 << 10;

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

// Calls `visit(directory)` for the group and all below it.
void ForEachGroup(const std::string& directory, absl::FunctionRef<void(const std::string&)> visit) {
  std::vector<std::string> groups = {directory};
  for (size_t i = 0; i < groups.size(); ++i) {
    visit(groups[i]);
    AddSubGroups(std::string(groups[i]), groups);
  }
}

uint64_t CountLines(const std::string& path) {
  const absl::StatusOr<base::UniqueFd> fd = base::Open(path, O_RDONLY);
  char buffer[4096];
  uint64_t lines = 0;
  size_t bytes = 0;
  while (fd.ok() && bytes < kMaxListBytes) {
    const ssize_t n = read(fd->get(), buffer, sizeof(buffer));
    if (n <= 0) break;
    lines += static_cast<uint64_t>(std::count(buffer, buffer + n, '\n'));
    bytes += static_cast<size_t>(n);
  }
  return lines;
}

}  // namespace

std::vector<pid_t> ReadProcesses(const Layout& layout, absl::string_view path) {
  std::vector<pid_t> pids;
  // Every group has a directory in the cgroup2 hierarchy, on hybrid hosts too.
  ForEachGroup(layout.At(path).v2, [&](const std::string& group) {
    const absl::StatusOr<std::string> text = base::ReadFile(group + "/cgroup.procs");
    if (!text.ok()) return;
    for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
      pid_t pid = 0;
      if (absl::SimpleAtoi(line, &pid) && pid > 0) pids.push_back(pid);
    }
  });
  return pids;
}

uint64_t CountProcesses(const Layout& layout, absl::string_view path, KeptFiles* kept) {
  const std::string directory = layout.At(path).v2;
  const std::string file = directory + "/cgroup.stat";
  char buffer[1024];
  const absl::Span<char> span(buffer, sizeof(buffer));
  const absl::string_view text = kept == nullptr ? ReadOnce(file, span) : kept->Read(file, span);
  // Most groups have none below them, and to list a directory takes longer than to ask.
  if (absl::StartsWith(text, "nr_descendants 0\n")) return CountLines(directory + "/cgroup.procs");
  uint64_t processes = 0;
  ForEachGroup(directory,
               [&](const std::string& group) { processes += CountLines(group + "/cgroup.procs"); });
  return processes;
}

}  // namespace crisp::cgroup
