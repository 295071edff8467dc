#include "cgroup/layout.h"

#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "linux/mount_point.h"

namespace crisp::cgroup {
namespace {

// freezer, net_cls, net_prio and perf_event are not used: each v1 hierarchy costs a directory, a
// join and a removal per container, and cgroup2 has cgroup.kill and cgroup.freeze.
constexpr std::array<absl::string_view, 9> kUsed = {
    "cpu", "cpuacct", "cpuset", "memory", "devices", "blkio", "io", "pids", "hugetlb"};

bool IsUsed(absl::string_view controller) {
  return std::find(kUsed.begin(), kUsed.end(), controller) != kUsed.end();
}

// One line of mountinfo: "31 23 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup
// rw,cpu". The number of optional fields before "-" varies.
struct MountLine {
  std::string mount_point;
  absl::string_view type;
  absl::string_view super_options;
};

std::vector<MountLine> CgroupMounts(absl::string_view mountinfo) {
  std::vector<MountLine> mounts;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const size_t dash = line.find(" - cgroup");
    if (dash == absl::string_view::npos) continue;
    const std::vector<absl::string_view> left = absl::StrSplit(line.substr(0, dash), ' ');
    const std::vector<absl::string_view> right = absl::StrSplit(line.substr(dash + 3), ' ');
    if (left.size() < 6 || right.size() < 3) continue;
    mounts.push_back({linux::DecodeMountPoint(left[4]), right[0], right[2]});
  }
  return mounts;
}

}  // namespace

bool Hierarchy::Has(absl::string_view controller) const {
  return std::find(controllers.begin(), controllers.end(), controller) != controllers.end();
}

const Hierarchy* Layout::Find(absl::string_view controller) const {
  for (const Hierarchy& hierarchy : v1) {
    if (hierarchy.Has(controller)) return &hierarchy;
  }
  return v2.Has(controller) ? &v2 : nullptr;
}

Directories Layout::At(absl::string_view path) const {
  Directories directories;
  directories.v2 = absl::StrCat(v2.mount_point, path);
  for (const Hierarchy& hierarchy : v1) {
    directories.v1.push_back(absl::StrCat(hierarchy.mount_point, path));
  }
  if (const Hierarchy* memory = Find("memory")) {
    directories.oom_file = absl::StrCat(memory->mount_point, path,
                                        memory == &v2 ? "/memory.events" : "/memory.oom_control");
  }
  return directories;
}

std::string FindV2Mount(absl::string_view mountinfo) {
  for (const MountLine& mount : CgroupMounts(mountinfo)) {
    if (mount.type == "cgroup2") return mount.mount_point;
  }
  return "";
}

bool HasNsdelegate(absl::string_view mountinfo) {
  for (const MountLine& mount : CgroupMounts(mountinfo)) {
    if (mount.type != "cgroup2") continue;
    const std::vector<absl::string_view> options = absl::StrSplit(mount.super_options, ',');
    return std::find(options.begin(), options.end(), "nsdelegate") != options.end();
  }
  return false;
}

absl::StatusOr<bool> HasNsdelegateNow() {
  CRISP_ASSIGN_OR_RETURN(const std::string mountinfo, base::ReadFile("/proc/self/mountinfo"));
  return HasNsdelegate(mountinfo);
}

std::string HugepageSize(absl::string_view directory_name) {
  uint64_t kib = 0;
  if (!absl::ConsumePrefix(&directory_name, "hugepages-") ||
      !absl::ConsumeSuffix(&directory_name, "kB") || !absl::SimpleAtoi(directory_name, &kib)) {
    return "";
  }
  if (kib >= 1 << 20) return absl::StrCat(kib >> 20, "GB");
  if (kib >= 1 << 10) return absl::StrCat(kib >> 10, "MB");
  return absl::StrCat(kib, "KB");
}

absl::StatusOr<Layout> ParseLayout(absl::string_view mountinfo, absl::string_view v2_controllers) {
  Layout layout;
  layout.v2.mount_point = FindV2Mount(mountinfo);
  if (layout.v2.mount_point.empty()) {
    return absl::FailedPreconditionError(
        "no cgroup2 mount: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified");
  }
  for (const MountLine& mount : CgroupMounts(mountinfo)) {
    if (mount.type != "cgroup") continue;
    Hierarchy hierarchy{mount.mount_point, {}};
    for (absl::string_view option : absl::StrSplit(mount.super_options, ',')) {
      if (IsUsed(option) && layout.Find(option) == nullptr) {
        hierarchy.controllers.emplace_back(option);
      }
    }
    if (!hierarchy.controllers.empty()) layout.v1.push_back(std::move(hierarchy));
  }
  // Whoever enters a group holds a lock that every start and exec on the node waits for
  // (cgroup_mutex). Before Linux 6.18 the kernel stops a process for its CPU quota wherever it is,
  // also while it holds or is to get that lock. So a process comes under its quota at the last one.
  std::stable_partition(layout.v1.begin(), layout.v1.end(),
                        [](const Hierarchy& hierarchy) { return !hierarchy.Has("cpu"); });
  for (absl::string_view name : absl::StrSplit(v2_controllers, absl::ByAnyChar(" \n"))) {
    if (IsUsed(name)) layout.v2.controllers.emplace_back(name);
  }
  if (layout.Find("memory") == nullptr || layout.Find("cpu") == nullptr ||
      layout.Find("pids") == nullptr) {
    return absl::FailedPreconditionError(
        "cgroup controllers cpu, memory and pids are not all mounted");
  }
  return layout;
}

absl::StatusOr<const Layout*> Detect() {
  static const auto* const detected = new absl::StatusOr<Layout>([]() -> absl::StatusOr<Layout> {
    CRISP_ASSIGN_OR_RETURN(const std::string mountinfo, base::ReadFile("/proc/self/mountinfo"));
    std::string controllers;
    if (const std::string mount = FindV2Mount(mountinfo); !mount.empty()) {
      CRISP_ASSIGN_OR_RETURN(controllers,
                             base::ReadFile(absl::StrCat(mount, "/cgroup.controllers")));
    }
    CRISP_ASSIGN_OR_RETURN(Layout layout, ParseLayout(mountinfo, controllers));
    // Absent on kernels without huge pages.
    const auto names = base::ListDir("/sys/kernel/mm/hugepages");
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
      if (std::string size = HugepageSize(name); !size.empty()) {
        layout.hugepage_sizes.push_back(std::move(size));
      }
    }
    return layout;
  }());
  if (!detected->ok()) return detected->status();
  return &**detected;
}

absl::StatusOr<std::string> OwnDirectory(const Layout& layout) {
  CRISP_ASSIGN_OR_RETURN(const std::string text, base::ReadFile("/proc/self/cgroup"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "0::"))
      return absl::StrCat(layout.v2.mount_point, line == "/" ? "" : line);
  }
  return absl::FailedPreconditionError("/proc/self/cgroup: names no cgroup2 group");
}

absl::Status CheckPath(absl::string_view path) {
  constexpr size_t kMaxPath = 2048;
  constexpr size_t kMaxName = 255;
  const auto refuse = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup path \"", path.substr(0, 200), "\": ", why));
  };
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return absl::InvalidArgumentError("cgroup path: control character");
    }
  }
  if (path.size() > kMaxPath) return refuse("longer than 2048 bytes");
  if (path.size() < 2 || path[0] != '/') return refuse("not an absolute path below the root");
  for (absl::string_view name : absl::StrSplit(path.substr(1), '/')) {
    if (name.empty() || name == "." || name == "..") return refuse("not normalized");
    if (name.size() > kMaxName) return refuse("a component is longer than 255 bytes");
  }
  return absl::OkStatus();
}

std::vector<std::string> PathPrefixes(absl::string_view path) {
  std::vector<std::string> prefixes;
  for (size_t slash = path.find('/', 1); slash != absl::string_view::npos;
       slash = path.find('/', slash + 1)) {
    prefixes.emplace_back(path.substr(0, slash));
  }
  if (path.size() > 1) prefixes.emplace_back(path);
  return prefixes;
}

}  // namespace crisp::cgroup
