#include "spec/container_spec.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spec/apparmor.h"
#include "spec/capabilities.h"
#include "spec/cdi.h"
#include "spec/container_mounts.h"
#include "spec/container_process.h"
#include "spec/deprecated_fields.h"
#include "spec/devices.h"
#include "spec/fields.h"
#include "spec/namespaces.h"
#include "spec/privileged.h"
#include "spec/resources.h"
#include "spec/seccomp.h"
#include "spec/signal.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

absl::StatusOr<std::vector<oci::Namespace>> ContainerNamespaces(const ContainerInput& input,
                                                                bool userns) {
  const v1::LinuxContainerSecurityContext& context = input.config.linux().security_context();
  const v1::NamespaceOption& own = context.namespace_options();
  const v1::NamespaceOption& pods =
      input.sandbox_config.linux().security_context().namespace_options();
  const auto of = [](int32_t pid, const char* name) {
    return absl::StrCat("/proc/", pid, "/ns/", name);
  };
  std::vector<oci::Namespace> result = {{.type = "mount", .path = ""}};
  if (pods.network() != v1::NODE) {
    result.push_back({"network", of(input.sandbox_pid, "net")});
    result.push_back({"uts", of(input.sandbox_pid, "uts")});
  }
  if (pods.ipc() != v1::NODE) result.push_back({"ipc", of(input.sandbox_pid, "ipc")});
  if (own.pid() == v1::CONTAINER) {
    result.push_back({"pid", ""});
  } else if (own.pid() == v1::TARGET) {
    if (input.target_pid <= 0) {
      return Invalid("targetContainerName", own.target_id(), "container is not running");
    }
    result.push_back({"pid", of(input.target_pid, "pid")});
  } else if (pods.pid() != v1::NODE) {
    result.push_back({"pid", of(input.sandbox_pid, "pid")});
  }
  if (userns) result.push_back({"user", of(input.sandbox_pid, "user")});
  CRISP_ASSIGN_OR_RETURN(const CgroupView cgroups, MakeCgroupView(context, input.cgroup_host));
  if (cgroups.own_namespace) result.push_back({"cgroup", ""});
  return result;
}

// masked_paths and readonly_paths: crisp adds none of its own to the client's.
absl::StatusOr<std::vector<std::string>> Paths(
    absl::string_view field, const google::protobuf::RepeatedPtrField<std::string>& paths) {
  std::vector<std::string> result;
  for (int i = 0; i < paths.size(); ++i) {
    CRISP_ASSIGN_OR_RETURN(result.emplace_back(),
                           CleanAbsolute(absl::StrCat(field, "[", i, "]"), paths[i]));
  }
  return result;
}

// Capabilities, profiles, masked and read-only paths.
absl::Status AddConfinement(const ContainerInput& input, ContainerSpecResult& result) {
  const v1::LinuxContainerSecurityContext& context = input.config.linux().security_context();
  oci::Spec& spec = result.spec;
  ContainerCapabilities capabilities = CapabilitiesOf(context, HeldCapabilities());
  spec.process.capabilities = std::move(capabilities.sets);
  result.warnings.insert(result.warnings.end(), capabilities.warnings.begin(),
                         capabilities.warnings.end());
  CRISP_ASSIGN_OR_RETURN(spec.process.apparmor_profile,
                         AppArmorProfile(context, linux::ReadAppArmor()));
  CRISP_ASSIGN_OR_RETURN(std::vector<std::string> masked,
                         Paths("masked_paths", context.masked_paths()));
  CRISP_ASSIGN_OR_RETURN(std::vector<std::string> readonly,
                         Paths("readonly_paths", context.readonly_paths()));
  if (IsPrivileged(context)) return absl::OkStatus();
  spec.linux_.masked_paths = std::move(masked);
  spec.linux_.readonly_paths = std::move(readonly);
  CRISP_ASSIGN_OR_RETURN(spec.linux_.seccomp,
                         SelectSeccomp(context.has_seccomp() ? &context.seccomp() : nullptr,
                                       SeccompProfilePath(context), *spec.process.capabilities));
  CRISP_ASSIGN_OR_RETURN(
      spec.linux_.artifact_seccomp,
      ArtifactSeccomp(context.seccomp(), input.seccomp_artifact, *spec.process.capabilities));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ContainerSpecResult> ContainerSpec(const ContainerInput& input) {
  const v1::LinuxContainerSecurityContext& context = input.config.linux().security_context();
  const v1::LinuxSandboxSecurityContext& pod = input.sandbox_config.linux().security_context();
  CRISP_RETURN_IF_ERROR(CheckPrivileged(context, pod));
  CRISP_RETURN_IF_ERROR(CheckNamespaces(context.namespace_options(), pod.namespace_options()));
  CRISP_ASSIGN_OR_RETURN(const std::optional<UserNamespace> userns,
                         PodUserNamespace(pod.namespace_options()));
  ContainerSpecResult result;
  CRISP_ASSIGN_OR_RETURN(result.stop_signal,
                         StopSignal(input.config, input.image, result.warnings));
  oci::Spec& spec = result.spec;
  CRISP_ASSIGN_OR_RETURN(spec.process, MakeContainerProcess(input));
  CRISP_RETURN_IF_ERROR(AddConfinement(input, result));
  spec.root = {.path = "rootfs", .readonly = context.readonly_rootfs()};
  CRISP_ASSIGN_OR_RETURN(ContainerMounts mounts, MakeContainerMounts(input, userns.has_value()));
  spec.mounts = std::move(mounts.mounts);
  spec.linux_.rootfs_propagation = std::move(mounts.rootfs_propagation);
  CRISP_ASSIGN_OR_RETURN(spec.linux_.namespaces, ContainerNamespaces(input, userns.has_value()));
  if (userns.has_value()) {
    spec.linux_.uid_mappings = {userns->uids};
    spec.linux_.gid_mappings = {userns->gids};
  }
  CRISP_ASSIGN_OR_RETURN(ContainerDevices devices, MakeContainerDevices(input.config));
  spec.linux_.devices = std::move(devices.devices);
  CRISP_ASSIGN_OR_RETURN(spec.linux_.resources, OciResources(input.config.linux().resources()));
  spec.linux_.resources->devices = std::move(devices.rules);
  spec.linux_.cgroups_path = input.cgroup_path;
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> cdi_devices, CdiNames(input.config));
  CRISP_ASSIGN_OR_RETURN(const CdiEdits edits, input.cdi.Resolve(cdi_devices));
  CRISP_RETURN_IF_ERROR(ApplyCdi(edits, IsPrivileged(context), spec));
  return result;
}

}  // namespace crisp::spec
