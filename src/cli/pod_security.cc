#include "cli/pod_security.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace crisp::cli {
namespace {

using ::runtime::v1::NamespaceMode;
using ::runtime::v1::SecurityProfile;

// What Kubernetes hides of /proc and /sys (procMount Default).
constexpr const char* kMaskedPaths[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr const char* kReadonlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                          "/proc/sysrq-trigger"};

::runtime::v1::NamespaceOption Namespaces(const PodSpec& spec, const PodInstance& instance) {
  ::runtime::v1::NamespaceOption out;
  out.set_network(spec.host_network ? NamespaceMode::NODE : NamespaceMode::POD);
  out.set_ipc(spec.host_ipc ? NamespaceMode::NODE : NamespaceMode::POD);
  out.set_pid(spec.host_pid                  ? NamespaceMode::NODE
              : spec.share_process_namespace ? NamespaceMode::POD
                                             : NamespaceMode::CONTAINER);
  auto* users = out.mutable_userns_options();
  users->set_mode(instance.users.has_value() ? NamespaceMode::POD : NamespaceMode::NODE);
  AddIdMapping(instance.users, users->mutable_uids());
  AddIdMapping(instance.users, users->mutable_gids());
  return out;
}

// fsGroup is a group of every process, in the sandbox and in containers.
template <typename Security>
void SetGroups(const PodSecurity& pod, Security& out) {
  if (pod.fs_group.has_value()) out.add_supplemental_groups(*pod.fs_group);
  for (const int64_t group : pod.supplemental_groups) out.add_supplemental_groups(group);
  if (pod.strict_supplemental_groups)
    out.set_supplemental_groups_policy(::runtime::v1::SupplementalGroupsPolicy::Strict);
}

template <typename Security>
void SetSELinux(const std::optional<SELinuxOptions>& options, Security& out) {
  if (!options.has_value()) return;
  auto* selinux = out.mutable_selinux_options();
  selinux->set_user(options->user);
  selinux->set_role(options->role);
  selinux->set_type(options->type);
  selinux->set_level(options->level);
}

template <typename Security>
void SetIds(const std::optional<int64_t>& user, const std::optional<int64_t>& group,
            Security& out) {
  if (user.has_value()) out.mutable_run_as_user()->set_value(*user);
  if (group.has_value()) out.mutable_run_as_group()->set_value(*group);
}

// What the container says, otherwise what the pod says.
template <typename T>
const std::optional<T>& Effective(const std::optional<T>& own, const std::optional<T>& pods) {
  return own.has_value() ? own : pods;
}

void SetProfile(const Profile& profile, const std::string& localhost, SecurityProfile& out) {
  switch (profile.type) {
    case ProfileType::kRuntimeDefault:
      out.set_profile_type(SecurityProfile::RuntimeDefault);
      break;
    case ProfileType::kUnconfined:
      out.set_profile_type(SecurityProfile::Unconfined);
      break;
    case ProfileType::kLocalhost:
      out.set_profile_type(SecurityProfile::Localhost);
      out.set_localhost_ref(localhost);
  }
}

void SetProfiles(const PodSecurity& pod, const SecurityContext& own,
                 ::runtime::v1::LinuxContainerSecurityContext& out) {
  // kubelet's default (seccompDefault false).
  const Profile unconfined = {.type = ProfileType::kUnconfined, .localhost_profile = ""};
  const auto& seccomp = Effective(own.seccomp_profile, pod.defaults.seccomp_profile);
  const Profile& profile = seccomp.has_value() ? *seccomp : unconfined;
  SetProfile(profile, absl::StrCat(kSeccompDirectory, "/", profile.localhost_profile),
             *out.mutable_seccomp());
  const auto& apparmor = Effective(own.app_armor_profile, pod.defaults.app_armor_profile);
  if (apparmor.has_value())
    SetProfile(*apparmor, apparmor->localhost_profile, *out.mutable_apparmor());
}

absl::Status CheckNonRoot(const SecurityContext& own, const SecurityContext& pods,
                          const std::optional<int64_t>& user, const ImageUser& image) {
  if (!Effective(own.run_as_non_root, pods.run_as_non_root).value_or(false))
    return absl::OkStatus();
  if (user.has_value()) {
    if (*user != 0) return absl::OkStatus();
    return absl::FailedPreconditionError("runAsNonRoot is true, but runAsUser is 0");
  }
  if (!image.uid.has_value() && !image.username.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("runAsNonRoot is true, and whether the image's user \"", image.username,
                     "\" is root is not known: set runAsUser"));
  }
  if (image.uid.value_or(0) != 0) return absl::OkStatus();
  return absl::FailedPreconditionError("runAsNonRoot is true, but the image runs as root");
}

void SetPaths(const Node& node, ::runtime::v1::LinuxContainerSecurityContext& out) {
  for (const char* path : kMaskedPaths) out.add_masked_paths(path);
  for (const std::string& path : node.thermal_throttle) out.add_masked_paths(path);
  for (const char* path : kReadonlyPaths) out.add_readonly_paths(path);
}

}  // namespace

::runtime::v1::LinuxSandboxSecurityContext SandboxSecurity(const PodSpec& spec,
                                                           const PodInstance& instance) {
  ::runtime::v1::LinuxSandboxSecurityContext out;
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const Container& container : *list) {
      if (container.security.privileged) out.set_privileged(true);
    }
  }
  out.mutable_seccomp()->set_profile_type(SecurityProfile::RuntimeDefault);
  SetIds(spec.security.defaults.run_as_user, spec.security.defaults.run_as_group, out);
  *out.mutable_namespace_options() = Namespaces(spec, instance);
  SetGroups(spec.security, out);
  SetSELinux(spec.security.defaults.se_linux_options, out);
  return out;
}

absl::StatusOr<::runtime::v1::LinuxContainerSecurityContext> ContainerSecurity(
    const PodSpec& spec, const Container& container, const PodInstance& instance, const Node& node,
    const ImageUser& image_user) {
  const SecurityContext& own = container.security;
  const SecurityContext& pods = spec.security.defaults;
  const std::optional<int64_t> user = Effective(own.run_as_user, pods.run_as_user);
  CRISP_RETURN_IF_ERROR(CheckNonRoot(own, pods, user, image_user));
  ::runtime::v1::LinuxContainerSecurityContext out;
  SetIds(user, Effective(own.run_as_group, pods.run_as_group), out);
  if (!user.has_value()) {
    if (image_user.uid.has_value() || image_user.username.empty())
      out.mutable_run_as_user()->set_value(image_user.uid.value_or(0));
    out.set_run_as_username(image_user.uid.has_value() ? "" : image_user.username);
  }
  out.set_privileged(own.privileged);
  out.set_readonly_rootfs(own.read_only_root_filesystem);
  if (!own.capabilities_add.empty() || !own.capabilities_drop.empty()) {
    auto* capabilities = out.mutable_capabilities();
    for (const std::string& name : own.capabilities_add) capabilities->add_add_capabilities(name);
    for (const std::string& name : own.capabilities_drop) capabilities->add_drop_capabilities(name);
  }
  SetSELinux(Effective(own.se_linux_options, pods.se_linux_options), out);
  SetProfiles(spec.security, own, out);
  *out.mutable_namespace_options() = Namespaces(spec, instance);
  SetGroups(spec.security, out);
  out.set_no_new_privs(!own.allow_privilege_escalation.value_or(true));
  if (!own.unmasked_proc_mount) SetPaths(node, out);
  return out;
}

}  // namespace crisp::cli
