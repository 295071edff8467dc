// The mounts, devices and sysctls of a plan.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "linux/sysctl.h"
#include "shim/plan_compiler.h"

namespace crisp::shim {
namespace {

// Files of /proc over which a bind mount may lie, as lxcfs does. Everything else in /proc matters
// for security and must be the kernel's. The same list as in other runtimes.
constexpr absl::string_view kProcFiles[] = {"/proc/cpuinfo",
                                            "/proc/diskstats",
                                            "/proc/meminfo",
                                            "/proc/stat",
                                            "/proc/swaps",
                                            "/proc/uptime",
                                            "/proc/loadavg",
                                            "/proc/slabinfo",
                                            "/proc/sys/kernel/ns_last_pid",
                                            "/proc/net/dev",
                                            "/proc/sys/crypto/fips_enabled"};

// File systems that a container may have a new instance of: those that show its namespaces, and
// tmpfs.
constexpr absl::string_view kFilesystems[] = {"proc", "sysfs", "tmpfs", "mqueue", "devpts"};

absl::Status CheckDestination(const MountPlan& mount) {
  if (mount.destination == "/")
    return Invalid("mounts.destination", "\"/\": must not be the rootfs");
  if (!absl::StartsWith(mount.destination, "/proc/")) return absl::OkStatus();
  const bool is_file = std::find(std::begin(kProcFiles), std::end(kProcFiles), mount.destination) !=
                       std::end(kProcFiles);
  if (is_file && mount.kind == MountKind::kBind) return absl::OkStatus();
  return Invalid("mounts.destination",
                 absl::StrCat("\"", mount.destination, "\": must not be inside /proc"));
}

absl::StatusOr<MountPlan> CompileMount(const oci::Mount& mount) {
  MountPlan plan;
  CRISP_ASSIGN_OR_RETURN(plan.destination, CleanPath(mount.destination, "mounts.destination"));
  plan.options = linux::ParseMountOptions(mount.options);
  plan.source = mount.source;
  plan.is_image_volume = mount.type == oci::kImageVolume;
  plan.uid_mappings = mount.uid_mappings;
  plan.gid_mappings = mount.gid_mappings;
  if (!mount.uid_mappings.empty() || !mount.gid_mappings.empty()) plan.options.idmap = true;
  if (plan.options.bind || mount.type == "bind") {
    plan.kind = MountKind::kBind;
    if (mount.source.empty() || mount.source[0] != '/') {
      return Invalid(plan.destination,
                     absl::StrCat("source \"", mount.source, "\": must be absolute"));
    }
    if (!plan.options.data.empty()) {
      return Invalid(plan.destination, absl::StrCat("\"", plan.options.data[0].first,
                                                    "\" is not an option of bind mounts"));
    }
  } else if (mount.type == "cgroup" || mount.type == "cgroup2") {
    plan.kind = MountKind::kCgroup;
  } else {
    plan.kind = MountKind::kFilesystem;
    plan.fs_type = mount.type;
    if (std::find(std::begin(kFilesystems), std::end(kFilesystems), mount.type) ==
        std::end(kFilesystems)) {
      return Invalid(plan.destination,
                     absl::StrCat("file system type \"", mount.type, "\" is not supported"));
    }
  }
  if (plan.kind != MountKind::kBind && plan.options.idmap) {
    return Invalid(plan.destination, "only bind mounts can be idmapped");
  }
  CRISP_RETURN_IF_ERROR(CheckDestination(plan));
  return plan;
}

absl::StatusOr<MountPlan> CompileImageMount(const ::shim::v1::ImageMount& mount) {
  MountPlan plan;
  plan.kind = MountKind::kImage;
  CRISP_ASSIGN_OR_RETURN(plan.destination,
                         CleanPath(mount.destination(), "image_mounts.destination"));
  plan.image.base = mount.rootfs().base();
  plan.image.lowers.assign(mount.rootfs().lowers().begin(), mount.rootfs().lowers().end());
  if (!mount.rootfs().upper().empty())
    return Invalid(plan.destination, "an image mount must not have an upper directory");
  CRISP_RETURN_IF_ERROR(base::Prefix(OverlayOptions(plan.image).status(), plan.destination));
  if (absl::StrContains(mount.sub_path(), '\0'))
    return Invalid(plan.destination, "sub_path must not contain a NUL byte");
  plan.sub_path = mount.sub_path();
  plan.options.top.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (mount.noexec()) plan.options.top.set |= MOUNT_ATTR_NOEXEC;
  CRISP_RETURN_IF_ERROR(CheckDestination(plan));
  return plan;
}

bool IsBelow(const std::string& path, const std::string& directory) {
  return absl::StartsWith(path, directory + "/");
}

// Length of the common end of two absolute paths, in whole components.
size_t CommonEnd(const std::string& a, const std::string& b) {
  size_t common = 0;
  for (size_t i = 1; i <= std::min(a.size(), b.size()) && a[a.size() - i] == b[b.size() - i]; ++i) {
    if (a[a.size() - i] == '/') common = i;
  }
  return common;
}

// The container's directory in every v1 hierarchy, and its name below the destination of a "cgroup"
// mount. A group has the same path in every hierarchy, so the beginning that such a directory does
// not share with the one in cgroup2 is the hierarchy's mount point.
absl::Status CompileCgroupBinds(const ::shim::v1::Start& start, LaunchPlan& plan) {
  for (const std::string& directory : start.cgroup_v1()) {
    const std::string mount_point =
        directory.substr(0, directory.size() - CommonEnd(directory, start.cgroup_v2()));
    const std::string name = mount_point.substr(mount_point.rfind('/') + 1);
    if (name.empty())
      return Invalid("cgroup",
                     absl::StrCat("\"", directory, "\" is not below a mount point of a hierarchy"));
    plan.cgroup_binds.push_back({.name = name, .source = directory});
  }
  return absl::OkStatus();
}

struct DefaultDevice {
  const char* path;
  unsigned major;
  unsigned minor;
};
// The device nodes among the "Default Devices" of the OCI runtime specification.
constexpr DefaultDevice kDefaultDevices[] = {{"/dev/null", 1, 3},    {"/dev/zero", 1, 5},
                                             {"/dev/full", 1, 7},    {"/dev/random", 1, 8},
                                             {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};

bool IsNamespaced(const LaunchPlan& plan, absl::string_view sysctl_path) {
  switch (linux::ScopeOfSysctl(sysctl_path)) {
    case linux::SysctlScope::kNetwork:
      return plan.Find(CLONE_NEWNET) != nullptr;
    case linux::SysctlScope::kIpc:
      return plan.Find(CLONE_NEWIPC) != nullptr;
    case linux::SysctlScope::kUts:
      return plan.Find(CLONE_NEWUTS) != nullptr;
    case linux::SysctlScope::kHost:
      return false;
  }
  return false;
}

}  // namespace

absl::Status CompileMounts(const oci::Spec& spec, const ::shim::v1::Start& start,
                           LaunchPlan& plan) {
  if (!spec.linux_.mount_label.empty())
    return Invalid("linux.mountLabel", "SELinux is not supported");
  for (const oci::Mount& mount : spec.mounts) {
    CRISP_ASSIGN_OR_RETURN(plan.mounts.emplace_back(), CompileMount(mount));
  }
  for (const ::shim::v1::ImageMount& mount : start.image_mounts()) {
    CRISP_ASSIGN_OR_RETURN(MountPlan image, CompileImageMount(mount));
    // Before every mount below it: mounted later it would hide them.
    const auto below = std::find_if(
        plan.mounts.begin(), plan.mounts.end(),
        [&](const MountPlan& other) { return IsBelow(other.destination, image.destination); });
    plan.mounts.insert(below, std::move(image));
  }
  for (MountPlan& mount : plan.mounts) {
    if (mount.destination == "/dev") plan.populate_dev = mount.kind == MountKind::kFilesystem;
    if (mount.kind != MountKind::kCgroup) continue;
    if (plan.cgroup_binds.empty()) CRISP_RETURN_IF_ERROR(CompileCgroupBinds(start, plan));
    if (plan.cgroup_binds.empty() && !plan.IsNew(CLONE_NEWCGROUP)) {
      // A new mount of cgroup2 from the host's cgroup namespace would change the options of the one
      // cgroup2 file system there is: nsdelegate would be off on the whole host.
      mount.kind = MountKind::kBind;
      mount.source = "/sys/fs/cgroup";
    }
  }
  return absl::OkStatus();
}

absl::Status CompileDevices(const oci::Spec& spec, LaunchPlan& plan) {
  // A volume at /dev is often the host's own: no nodes are made in it.
  const auto at_dev = [](const MountPlan& mount) { return mount.destination == "/dev"; };
  if (!plan.populate_dev && std::any_of(plan.mounts.begin(), plan.mounts.end(), at_dev)) {
    return absl::OkStatus();
  }
  for (const oci::Device& device : spec.linux_.devices) {
    DevicePlan added;
    CRISP_ASSIGN_OR_RETURN(added.path, CleanPath(device.path, "linux.devices.path"));
    const mode_t type = device.type == 'b' ? S_IFBLK : device.type == 'p' ? S_IFIFO : S_IFCHR;
    if (type == S_IFCHR && device.type != 'c' && device.type != 'u') {
      return Invalid("linux.devices.type",
                     absl::StrCat("\"", std::string(1, device.type), "\" is not supported"));
    }
    constexpr int64_t kMaxMajor = (1 << 12) - 1;  // of the kernel's 32-bit dev_t
    constexpr int64_t kMaxMinor = (1 << 20) - 1;
    if (device.major < 0 || device.major > kMaxMajor || device.minor < 0 ||
        device.minor > kMaxMinor) {
      return Invalid("linux.devices",
                     absl::StrCat("\"", added.path, "\": major or minor is out of range"));
    }
    added.mode = type | (device.file_mode.value_or(0666) & 07777);
    added.device =
        makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
    added.uid = device.uid.value_or(0);
    added.gid = device.gid.value_or(0);
    plan.devices.push_back(std::move(added));
  }
  if (!plan.populate_dev) return absl::OkStatus();
  for (const DefaultDevice& device : kDefaultDevices) {
    const auto same = [&](const DevicePlan& other) { return other.path == device.path; };
    if (std::any_of(plan.devices.begin(), plan.devices.end(), same)) continue;
    plan.devices.push_back({.path = device.path,
                            .mode = S_IFCHR | 0666,
                            .device = makedev(device.major, device.minor)});
  }
  return absl::OkStatus();
}

absl::Status CompileSysctls(const oci::Spec& spec, LaunchPlan& plan) {
  for (const auto& [key, value] : spec.linux_.sysctl) {
    const std::optional<std::string> path = linux::SysctlPath(key);
    if (!path.has_value()) {
      return Invalid("linux.sysctl", absl::StrCat("\"", key, "\" is not a valid key"));
    }
    if (!IsNamespaced(plan, *path)) {
      return Invalid("linux.sysctl",
                     absl::StrCat("\"", key, "\" does not belong to a namespace of the container"));
    }
    plan.sysctls.push_back({.key = key, .path = absl::StrCat("sys/", *path), .value = value});
  }
  return absl::OkStatus();
}

}  // namespace crisp::shim
