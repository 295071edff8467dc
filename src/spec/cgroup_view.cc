#include "spec/cgroup_view.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spec/fields.h"
#include "spec/privileged.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kNamespaceField[] = "namespace_options.cgroupns_options.mode";
constexpr char kMountField[] = "cgroup_mount_mode";

absl::Status RefuseMountMode(const v1::LinuxContainerSecurityContext& context,
                             absl::string_view why) {
  return Invalid(kMountField, v1::CgroupMountMode_Name(context.cgroup_mount_mode()), why);
}

absl::Status HostCannot(absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      kMountField, " \"", v1::CgroupMountMode_Name(v1::CGROUP_MOUNT_MODE_READ_WRITE), "\": ", why));
}

}  // namespace

absl::Status CheckCgroupView(const v1::LinuxContainerSecurityContext& context) {
  const v1::NamespaceOption& options = context.namespace_options();
  const v1::NamespaceMode mode = options.cgroupns_options().mode();
  if (options.has_cgroupns_options() && mode != v1::CONTAINER && mode != v1::NODE) {
    const std::string name = v1::NamespaceMode_Name(mode);
    return Invalid(kNamespaceField, name.empty() ? absl::StrCat(mode) : name,
                   "must be CONTAINER or NODE");
  }
  if (!v1::CgroupMountMode_IsValid(context.cgroup_mount_mode()))
    return Invalid(kMountField, context.cgroup_mount_mode(), "is not a cgroup mount mode");
  if (IsPrivileged(context)) {
    return context.cgroup_mount_mode() == v1::CGROUP_MOUNT_MODE_READ_ONLY
               ? RefuseMountMode(context, "is not possible for a privileged container")
               : absl::OkStatus();
  }
  if (context.cgroup_mount_mode() == v1::CGROUP_MOUNT_MODE_READ_WRITE &&
      options.has_cgroupns_options() && mode == v1::NODE) {
    return RefuseMountMode(context, "is not possible with the host's cgroup namespace");
  }
  return absl::OkStatus();
}

absl::StatusOr<CgroupView> MakeCgroupView(const v1::LinuxContainerSecurityContext& context,
                                          const CgroupHost& host) {
  CRISP_RETURN_IF_ERROR(CheckCgroupView(context));
  const bool privileged = IsPrivileged(context);
  // On cgroup v1 the shim binds the container's own groups, whatever the namespace. A privileged
  // container sees the host's cgroups, which its tools expect.
  CgroupView view = {.own_namespace = host.v2 && !privileged, .writable = privileged};
  const v1::NamespaceOption& options = context.namespace_options();
  if (options.has_cgroupns_options())
    view.own_namespace = options.cgroupns_options().mode() == v1::CONTAINER;
  if (context.cgroup_mount_mode() != v1::CGROUP_MOUNT_MODE_READ_WRITE) return view;
  // Without the option root of the container could raise its own limits.
  if (!host.v2) return HostCannot("this host has cgroup v1, of which nothing may be given away");
  if (!host.nsdelegate) {
    return HostCannot(
        "this host has mounted cgroup2 without nsdelegate: "
        "mount -o remount,nsdelegate /sys/fs/cgroup");
  }
  view.writable = true;
  return view;
}

}  // namespace crisp::spec
