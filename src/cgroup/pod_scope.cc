#include "cgroup/pod_scope.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cgroup/systemd.h"
#include "cgroup/unit_name.h"
#include "linux/reap.h"

namespace crisp::cgroup {
namespace {

// The unit's name is the last component.
std::string UnitOf(absl::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

// "-.slice" for a scope directly below the root.
std::string SliceOf(absl::string_view scope_path) {
  const absl::string_view parent = scope_path.substr(0, scope_path.rfind('/'));
  return parent.empty() ? "-.slice" : UnitOf(parent);
}

}  // namespace

absl::Status PodScopes::Create(const std::string& path, base::Deadline deadline) {
  if (access(layout_.At(path).v2.c_str(), F_OK) == 0) {
    return absl::AlreadyExistsError(absl::StrCat("start ", UnitOf(path), ": exists"));
  }
  const absl::Status started = StartHolder(path, deadline);
  // Report the first error, not one of the undo.
  if (!started.ok()) (void)Remove(path, deadline);
  return started;
}

// Which slices systemd has is known only from its answers: it unloads an unneeded slice some time
// before or after it removes the directory.
absl::Status PodScopes::StartIn(const std::vector<std::string>& chain, Scope& scope,
                                base::Deadline deadline) {
  for (const std::string& slice : chain) {
    if (access(layout_.At(SlicePath(slice)).v2.c_str(), F_OK) != 0) {
      scope.new_slices.push_back(slice);
    }
  }
  size_t forgotten = 0;  // slices that systemd has unloaded, counted from the innermost
  while (true) {
    const absl::Status started = StartScope(scope, deadline);
    if (absl::IsAlreadyExists(started) && !scope.new_slices.empty()) {
      // One of the slices has a unit file or was made meanwhile; crispd must not configure it.
      scope.new_slices.clear();
    } else if (absl::IsNotFound(started) && forgotten < chain.size()) {
      ++forgotten;
      scope.new_slices.assign(chain.end() - static_cast<ptrdiff_t>(forgotten), chain.end());
    } else {
      return started;
    }
  }
}

absl::Status PodScopes::StartHolder(const std::string& path, base::Deadline deadline) {
  CRISP_ASSIGN_OR_RETURN(
      linux::Child child,
      linux::Spawn({.path = holder_program_, .args = {"crisp-holder", UnitOf(path)}, .env = {}},
                   {-1, -1, -1}));
  const pid_t pid = child.pid;
  {
    absl::MutexLock lock(&mutex_);
    holders_[path] = std::move(child);
  }
  Scope scope = {.unit = UnitOf(path),
                 .slice = SliceOf(path),
                 .new_slices = {},
                 .description = "pause of a crisp pod",
                 .pid = pid};
  CRISP_RETURN_IF_ERROR(StartIn(SliceChain(scope.slice), scope, deadline));
  // The kernel enables controllers below a group only while the group itself has no process.
  const std::string directory = absl::StrCat(layout_.At(path).v2, "/holder");
  if (mkdir(directory.c_str(), 0755) != 0) return base::Errno("make cgroup", directory);
  return base::Prefix(
      base::WriteExisting(absl::StrCat(directory, "/cgroup.procs"), absl::StrCat(pid)),
      "move the scope's holder");
}

absl::Status PodScopes::Remove(const std::string& path, base::Deadline deadline) {
  const std::string directory = layout_.At(path).v2;
  const absl::Status killed = base::WriteExisting(absl::StrCat(directory, "/cgroup.kill"), "1");
  if (!killed.ok() && !absl::IsNotFound(killed)) return base::Prefix(killed, "kill scope");
  ReapHolder(path);
  return StopUnit(UnitOf(path), deadline);
}

// Kills and reaps the holder, even if it was not moved into the scope.
void PodScopes::ReapHolder(const std::string& path) {
  linux::Child child;
  {
    absl::MutexLock lock(&mutex_);
    const auto holder = holders_.find(path);
    if (holder == holders_.end()) return;
    child = std::move(holder->second);
    holders_.erase(holder);
  }
  linux::EndChild(child.pid, child.pidfd.get());
}

}  // namespace crisp::cgroup
