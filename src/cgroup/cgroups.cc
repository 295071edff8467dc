#include "cgroup/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "cgroup/device_program.h"
#include "cgroup/group_path.h"
#include "cgroup/join.h"
#include "cgroup/libcgroup.h"
#include "cgroup/settings.h"
#include "cgroup/systemd.h"
#include "cgroup/unit_name.h"

namespace crisp::cgroup {
namespace {

// Marks parents that crispd made, the only ones it removes. The kernel keeps the attribute as long
// as the directory. It is "trusted" so that a container cannot set it.
constexpr char kMadeByUs[] = "trusted.crisp";

constexpr char kDefaultSlice[] = "crisp.slice";

// For removing what a Create() that failed has made.
constexpr absl::Duration kUndoTime = absl::Seconds(5);

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// The directories of a group in all hierarchies, the cgroup2 one last.
std::vector<std::string> AllDirectories(const Layout& layout, absl::string_view path) {
  Directories directories = layout.At(path);
  directories.v1.push_back(std::move(directories.v2));
  return std::move(directories.v1);
}

bool ExistsEverywhere(const Layout& layout, absl::string_view path) {
  for (const std::string& directory : AllDirectories(layout, path)) {
    if (!Exists(directory)) return false;
  }
  return true;
}

// Excludes other crispds that share a parent. F_RDLCK: while groups are made; waits. F_WRLCK: while
// a shared parent is removed; fails if a group is being made. Only root can open the file for
// writing, so no other user can make crispd wait. The lock ends with the descriptor.
absl::StatusOr<base::UniqueFd> LockRoot(const Layout& layout, short type) {
  const bool shared = type == F_RDLCK;
  CRISP_ASSIGN_OR_RETURN(base::UniqueFd fd,
                         base::Open(absl::StrCat(layout.v2.mount_point, "/cgroup.procs"),
                                    shared ? O_RDONLY : O_WRONLY));
  struct flock range = {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  if (fcntl(fd.get(), shared ? F_OFD_SETLKW : F_OFD_SETLK, &range) != 0) {
    return base::Errno("lock", "cgroups");
  }
  return fd;
}

CurrentValue ReaderOf(const Layout& layout, absl::string_view path) {
  return [&layout, path](absl::string_view controller,
                         absl::string_view file) -> std::optional<std::string> {
    const Hierarchy* hierarchy = layout.Find(controller);
    if (hierarchy == nullptr) return std::nullopt;
    absl::StatusOr<std::string> text =
        base::ReadFile(absl::StrCat(hierarchy->mount_point, path, "/", file));
    if (!text.ok()) return std::nullopt;
    absl::StripTrailingAsciiWhitespace(&*text);
    return std::move(*text);
  };
}

// The sub-groups of a group; none if it vanishes meanwhile.
std::vector<std::string> SubGroups(const std::string& directory) {
  std::vector<std::string> children;
  DIR* const dir = opendir(directory.c_str());
  if (dir == nullptr) return children;
  while (const dirent* entry = readdir(dir)) {
    const absl::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") {
      children.push_back(absl::StrCat(directory, "/", name));
    }
  }
  closedir(dir);
  return children;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cgroups>> Cgroups::Open(Options options) {
  CRISP_RETURN_IF_ERROR(CheckPath(options.default_parent));
  CRISP_ASSIGN_OR_RETURN(const Layout* layout, Detect());
  if (options.driver == Driver::kSystemd) {
    CRISP_RETURN_IF_ERROR(base::Prefix(SystemdVersion().status(), "cgroup driver systemd"));
    if (!layout->v2_only()) {
      return absl::FailedPreconditionError(
          "cgroup driver systemd: this host has controllers on cgroup v1; use cgroupfs");
    }
  }
  CRISP_RETURN_IF_ERROR(InitLibcgroup());
  return std::unique_ptr<Cgroups>(new Cgroups(*layout, std::move(options)));
}

absl::StatusOr<std::string> Cgroups::PodParent(absl::string_view cgroup_parent,
                                               absl::string_view sandbox_id) const {
  if (options_.driver == Driver::kCgroupfs) {
    CRISP_RETURN_IF_ERROR(Path(cgroup_parent, sandbox_id).status());
    return std::string(cgroup_parent);
  }
  if (cgroup_parent.empty()) return PodScopePath(kDefaultSlice, sandbox_id);
  CRISP_ASSIGN_OR_RETURN(const std::string slice, ParseSlice(cgroup_parent));
  return PodScopePath(slice, sandbox_id);
}

absl::Status Cgroups::CreatePod(const std::string& pod_parent, absl::string_view sandbox_id,
                                base::Deadline deadline) {
  if (!IsPodScope(pod_parent, sandbox_id)) return absl::OkStatus();
  return scopes_.Create(pod_parent, deadline);
}

absl::Status Cgroups::RemovePod(const std::string& pod_parent, absl::string_view sandbox_id,
                                base::Deadline deadline) {
  if (!IsPodScope(pod_parent, sandbox_id)) return absl::OkStatus();
  return scopes_.Remove(pod_parent, deadline);
}

absl::StatusOr<std::string> Cgroups::Path(absl::string_view cgroup_parent,
                                          absl::string_view id) const {
  if (cgroup_parent.empty()) cgroup_parent = options_.default_parent;
  if (absl::EndsWith(cgroup_parent, ".slice") && !absl::StrContains(cgroup_parent, '/')) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cgroup_parent \"", cgroup_parent,
        "\": must not be a systemd slice, because crispd runs with the cgroupfs driver"));
  }
  std::string path = GroupPath(cgroup_parent, id);
  CRISP_RETURN_IF_ERROR(CheckPath(path));
  return path;
}

std::string Cgroups::ParentOf(absl::string_view path) const {
  return std::string(path.substr(0, std::max<size_t>(path.rfind('/'), 1)));
}

absl::StatusOr<std::string> Cgroups::Find(absl::string_view id) const {
  const std::string& root = layout_.v2.mount_point;
  std::vector<std::string> seen;
  if (base::IsId(id)) seen = SubGroups(root);  // other names may be those of the host's groups
  for (size_t i = 0; i < seen.size(); ++i) {
    const absl::string_view named =
        IdOfGroup(absl::string_view(seen[i]).substr(seen[i].rfind('/') + 1));
    if (named == id) return seen[i].substr(root.size());
    if (base::IsId(named)) continue;
    for (std::string& child : SubGroups(seen[i])) seen.push_back(std::move(child));
  }
  return absl::NotFoundError(absl::StrCat("no cgroup is named ", id));
}

absl::Status Cgroups::Create(absl::string_view path, const Resources& resources) {
  CRISP_RETURN_IF_ERROR(CheckPath(path));
  const std::string leaf(path);
  {
    absl::MutexLock lock(&parents_mutex_);
    // Remove() deletes the cgroup2 directory last, so while it exists the group may too.
    if (Exists(layout_.At(path).v2)) {
      return absl::AlreadyExistsError(absl::StrCat("create cgroup ", path, ": exists"));
    }
    CRISP_ASSIGN_OR_RETURN(const base::UniqueFd others, LockRoot(layout_, F_RDLCK));
    absl::Status made = MakeParents(path);
    if (made.ok()) {
      made = MakeLeaf(leaf);
      if (absl::IsAlreadyExists(made)) return made;
    }
    if (!made.ok()) {
      // Report the first error, not one of the undo.
      (void)RemoveDirectories(path, base::Deadline::In(kUndoTime));
      RemoveParents(path, options_.default_parent);
      return made;
    }
  }
  base::Failpoint("cgroup: made without limits");
  absl::Status applied = FillCpuset(leaf);
  if (applied.ok()) applied = Apply(leaf, resources, /*is_new=*/true);
  if (applied.ok() && !resources.devices.empty() && layout_.Find("devices") == nullptr) {
    applied = AttachDeviceProgram(layout_.At(path).v2, CompileDeviceProgram(resources.devices));
  }
  if (!applied.ok()) {
    (void)RemoveDirectories(path, base::Deadline::In(kUndoTime));  // as above
    absl::MutexLock lock(&parents_mutex_);
    RemoveParents(path, options_.default_parent);
    return base::Prefix(applied, absl::StrCat("limit cgroup ", path));
  }
  return absl::OkStatus();
}

absl::Status Cgroups::MakeParents(absl::string_view path) {
  std::vector<std::string> parents = PathPrefixes(path);
  parents.pop_back();
  if (parents.empty()) return EnableControllers("");
  if (!ExistsEverywhere(layout_, parents.back())) {
    if (options_.driver == Driver::kSystemd) {
      return absl::FailedPreconditionError(absl::StrCat(
          "create cgroup ", path, ": the pod's systemd scope or slice does not exist"));
    }
    for (const std::string& parent : parents) {
      std::vector<std::string> missing;
      for (std::string& directory : AllDirectories(layout_, parent)) {
        if (!Exists(directory)) missing.push_back(std::move(directory));
      }
      if (missing.empty()) continue;
      CRISP_RETURN_IF_ERROR(EnableControllers(parent.substr(0, parent.rfind('/'))));
      CRISP_RETURN_IF_ERROR(MakeGroup(parent));
      for (const std::string& directory : missing) {
        if (setxattr(directory.c_str(), kMadeByUs, "", 0, 0) != 0) {
          return base::Errno("mark cgroup", directory);
        }
      }
      CRISP_RETURN_IF_ERROR(FillCpuset(parent));
      // The kernel then copies the cpuset to new groups below, and crispd does not have to.
      if (const Hierarchy* cpuset = layout_.Find("cpuset");
          cpuset != nullptr && cpuset != &layout_.v2) {
        CRISP_RETURN_IF_ERROR(base::WriteExisting(
            absl::StrCat(cpuset->mount_point, parent, "/cgroup.clone_children"), "1"));
      }
    }
  }
  return EnableControllers(parents.back());
}

// Makes those of the group's directories that are missing.
absl::Status Cgroups::MakeGroup(const std::string& path) {
  std::vector<std::string> controllers;  // one per hierarchy is enough
  for (const Hierarchy& hierarchy : layout_.v1) controllers.push_back(hierarchy.controllers[0]);
  if (layout_.v2_only()) {
    controllers.push_back(layout_.v2.controllers[0]);
  } else {
    // libcgroup does not see a cgroup2 mount that has no controllers.
    const std::string directory = layout_.At(path).v2;
    if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
      return base::Errno("create cgroup", directory);
    }
  }
  return CreateGroup(path, controllers);
}

// The same for a group whose parents exist. For each hierarchy libcgroup makes and looks at the
// whole way anew, while all other pods wait. The cgroup2 directory comes first: while there is any
// of the group, it is found by that. kAlreadyExists, and nothing is made, when it is there.
absl::Status Cgroups::MakeLeaf(const std::string& path) {
  const Directories directories = layout_.At(path);
  if (mkdir(directories.v2.c_str(), 0755) != 0) return base::Errno("create cgroup", directories.v2);
  for (const std::string& directory : directories.v1) {
    if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
      return base::Errno("create cgroup", directory);
  }
  return absl::OkStatus();
}

// A new v1 cpuset has no CPUs and no memory nodes, so no process could join it: this copies the
// parent's, as v2 does by itself.
absl::Status Cgroups::FillCpuset(const std::string& path) {
  const Hierarchy* cpuset = layout_.Find("cpuset");
  if (cpuset == nullptr || cpuset == &layout_.v2) return absl::OkStatus();
  const CurrentValue here = ReaderOf(layout_, path);
  const std::string parent = path.substr(0, path.rfind('/'));
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    if (here("cpuset", file) != "") continue;
    std::string value = ReaderOf(layout_, parent)("cpuset", file).value_or("");
    if (value.empty() && !parent.empty()) {
      // The parent's maker was killed before it came to this.
      CRISP_RETURN_IF_ERROR(FillCpuset(parent));
      value = ReaderOf(layout_, parent)("cpuset", file).value_or("");
    }
    CRISP_RETURN_IF_ERROR(
        base::Prefix(base::WriteExisting(absl::StrCat(cpuset->mount_point, path, "/", file), value),
                     absl::StrCat("inherit ", value)));
  }
  return absl::OkStatus();
}

// Makes every controller of the cgroup2 mount available below `parent` ("" for the root): enables
// it from the root down where it is not enabled yet.
absl::Status Cgroups::EnableControllers(const std::string& parent) {
  constexpr absl::string_view kFile = "/cgroup.subtree_control";
  const auto missing = [&](absl::string_view group) -> absl::StatusOr<std::string> {
    CRISP_ASSIGN_OR_RETURN(const std::string text,
                           base::ReadFile(absl::StrCat(layout_.v2.mount_point, group, kFile)));
    const Hierarchy enabled{"", absl::StrSplit(absl::StripAsciiWhitespace(text), ' ')};
    std::string line;
    for (const std::string& controller : layout_.v2.controllers) {
      if (!enabled.Has(controller)) absl::StrAppend(&line, line.empty() ? "+" : " +", controller);
    }
    return line;
  };
  if (layout_.v2.controllers.empty()) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(std::string line, missing(parent));
  if (line.empty()) return absl::OkStatus();
  std::vector<std::string> groups = PathPrefixes(parent);
  groups.insert(groups.begin(), "");
  for (const std::string& group : groups) {
    CRISP_ASSIGN_OR_RETURN(line, missing(group));
    if (line.empty()) continue;
    CRISP_RETURN_IF_ERROR(
        base::Prefix(base::WriteExisting(absl::StrCat(layout_.v2.mount_point, group, kFile), line),
                     absl::StrCat("enable controllers ", line)));
  }
  return absl::OkStatus();
}

absl::Status Cgroups::Update(absl::string_view path, const Resources& resources) {
  CRISP_RETURN_IF_ERROR(CheckPath(path));
  if (!resources.devices.empty()) {
    return absl::InvalidArgumentError("devices: cannot be updated");
  }
  if (!Exists(layout_.At(path).v2)) {
    return absl::NotFoundError(absl::StrCat("update cgroup ", path, ": does not exist"));
  }
  return base::Prefix(Apply(std::string(path), resources, /*is_new=*/false),
                      absl::StrCat("update cgroup ", path));
}

absl::Status Cgroups::Apply(const std::string& path, const Resources& resources, bool is_new) {
  const CurrentValue current = ReaderOf(layout_, path);
  CRISP_ASSIGN_OR_RETURN(const std::vector<Setting> settings,
                         PlanSettings(layout_, resources, current));
  std::vector<Setting> undo;
  for (const Setting& setting : settings) {
    const auto old = is_new ? std::nullopt : current(setting.controller, setting.file);
    if (old == setting.value) continue;
    absl::Status written = WriteSetting(path, setting);
    if (written.ok()) {
      if (old) undo.push_back({setting.controller, setting.file, *old});
      continue;
    }
    for (auto it = undo.rbegin(); it != undo.rend(); ++it) {
      // libcgroup skips empty lines, but an empty cpuset can only be restored by writing one.
      const absl::Status restored =
          it->value.empty()
              ? base::WriteExisting(
                    absl::StrCat(layout_.Find(it->controller)->mount_point, path, "/", it->file),
                    "\n")
              : WriteSetting(path, *it);
      if (!restored.ok()) {
        written = absl::Status(
            written.code(), absl::StrCat(written.message(), " (undo: ", restored.message(), ")"));
      }
    }
    return written;
  }
  return absl::OkStatus();
}

absl::Status Cgroups::Kill(absl::string_view path) {
  CRISP_RETURN_IF_ERROR(CheckPath(path));
  const absl::Status killed =
      base::WriteExisting(absl::StrCat(layout_.At(path).v2, "/cgroup.kill"), "1");
  return absl::IsNotFound(killed) ? absl::OkStatus() : base::Prefix(killed, "kill cgroup");
}

absl::Status Cgroups::WaitEmpty(absl::string_view path, absl::Duration timeout) {
  CRISP_RETURN_IF_ERROR(CheckPath(path));
  const base::Deadline deadline = base::Deadline::In(timeout);
  const absl::StatusOr<base::UniqueFd> events =
      base::Open(absl::StrCat(layout_.At(path).v2, "/cgroup.events"), O_RDONLY);
  if (absl::IsNotFound(events.status())) return absl::OkStatus();
  CRISP_RETURN_IF_ERROR(events.status());
  while (true) {
    // ENODEV after the directory was removed.
    const absl::StatusOr<bool> populated = Populated(events->get());
    if (!populated.ok() || !*populated) return absl::OkStatus();
    pollfd poll_fd = {events->get(), POLLPRI, 0};
    // The kernel may delay a notification by 10 ms and drops it when the group is removed meanwhile
    // (kernel/cgroup/cgroup.c, cgroup_file_notify), so this looks again every 50 ms.
    const auto next_look = std::min(deadline, base::Deadline::In(absl::Milliseconds(50)));
    if (deadline.Passed() || (poll(&poll_fd, 1, next_look.PollMillis()) < 0 && errno != EINTR)) {
      return absl::DeadlineExceededError(absl::StrCat("cgroup ", path, ": a process is left after ",
                                                      absl::FormatDuration(timeout)));
    }
  }
}

absl::Status Cgroups::Remove(absl::string_view path, absl::Duration timeout) {
  const base::Deadline deadline = base::Deadline::In(timeout);
  CRISP_RETURN_IF_ERROR(WaitEmpty(path, timeout));
  CRISP_RETURN_IF_ERROR(RemoveDirectories(path, deadline));
  absl::MutexLock lock(&parents_mutex_);
  RemoveParents(path, options_.default_parent);
  return absl::OkStatus();
}

void Cgroups::RemoveDefaultParent() {
  absl::MutexLock lock(&parents_mutex_);
  const absl::StatusOr<base::UniqueFd> others = LockRoot(layout_, F_WRLCK);
  if (!others.ok()) return;  // the last crispd to stop removes it
  RemoveParents(absl::StrCat(options_.default_parent, "/leaf"), /*keep=*/"");
}

// A container may have made thousands of groups in its own: what is left then comes with a retry.
absl::Status Cgroups::RemoveDirectories(absl::string_view path, base::Deadline deadline) {
  for (const std::string& directory : AllDirectories(layout_, path)) {
    CRISP_RETURN_IF_ERROR(RemoveGroupTree(AT_FDCWD, directory, deadline));
    base::Failpoint("cgroup: removed from one hierarchy");
  }
  return absl::OkStatus();
}

// From the innermost outwards, until one is in use, is not marked, or is `keep` or above it.
void Cgroups::RemoveParents(absl::string_view path, absl::string_view keep) {
  std::vector<std::string> parents = PathPrefixes(path);
  parents.pop_back();
  const std::string kept = absl::StrCat(keep, "/");
  while (!parents.empty() && !absl::StartsWith(kept, absl::StrCat(parents.back(), "/"))) {
    bool removed = false;
    for (const std::string& directory : AllDirectories(layout_, parents.back())) {
      if (getxattr(directory.c_str(), kMadeByUs, nullptr, 0) == 0 &&
          rmdir(directory.c_str()) == 0) {
        removed = true;
      }
    }
    if (!removed) return;
    parents.pop_back();
  }
}

}  // namespace crisp::cgroup
