#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spec/cdi.h"
#include "spec/cgroup_view.h"
#include "spec/container_mounts.h"
#include "spec/devices.h"
#include "spec/fields.h"
#include "spec/namespaces.h"
#include "spec/privileged.h"
#include "spec/resources.h"
#include "spec/security_profile.h"
#include "spec/validate.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

absl::Status CheckLogPath(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(const std::string clean, CleanRelative("log_path", path));
  if (clean.empty() || absl::EndsWith(path, "/"))
    return Invalid("log_path", path, "must name a file");
  return absl::OkStatus();
}

absl::Status CheckWords(absl::string_view field,
                        const google::protobuf::RepeatedPtrField<std::string>& words) {
  for (int i = 0; i < words.size(); ++i) {
    if (absl::StrContains(words[i], '\0')) {
      return Invalid(absl::StrCat(field, "[", i, "]"), words[i], "must not contain NUL");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPaths(absl::string_view field,
                        const google::protobuf::RepeatedPtrField<std::string>& paths) {
  for (int i = 0; i < paths.size(); ++i) {
    CRISP_RETURN_IF_ERROR(CleanAbsolute(absl::StrCat(field, "[", i, "]"), paths[i]).status());
  }
  return absl::OkStatus();
}

absl::Status CheckMounts(const v1::ContainerConfig& config) {
  for (int i = 0; i < config.mounts_size(); ++i) {
    const std::string field = absl::StrCat("volumeMounts[", i, "]");
    const v1::Mount& mount = config.mounts(i);
    CRISP_RETURN_IF_ERROR(mount.has_image() ? ImageMount(field, mount).status()
                                            : HostMount(field, mount).status());
  }
  return absl::OkStatus();
}

absl::Status CheckUser(const v1::LinuxContainerSecurityContext& context) {
  if (context.has_run_as_group() && !context.has_run_as_user() &&
      context.run_as_username().empty()) {
    return GroupNeedsUser(context.run_as_group().value());
  }
  CRISP_RETURN_IF_ERROR(CheckId("runAsUser", context.run_as_user().value()));
  CRISP_RETURN_IF_ERROR(CheckId("runAsGroup", context.run_as_group().value()));
  for (int i = 0; i < context.supplemental_groups_size(); ++i) {
    CRISP_RETURN_IF_ERROR(
        CheckId(absl::StrCat("supplementalGroups[", i, "]"), context.supplemental_groups(i)));
  }
  return CheckText("user", context.run_as_username(), 256);
}

absl::Status CheckSecurityContext(const v1::LinuxContainerSecurityContext& context,
                                  const v1::LinuxSandboxSecurityContext& sandbox) {
  CRISP_RETURN_IF_ERROR(CheckPrivileged(context, sandbox));
  CRISP_RETURN_IF_ERROR(CheckUser(context));
  CRISP_RETURN_IF_ERROR(CheckPaths("masked_paths", context.masked_paths()));
  CRISP_RETURN_IF_ERROR(CheckPaths("readonly_paths", context.readonly_paths()));
  CRISP_RETURN_IF_ERROR(CheckCgroupView(context));
  CRISP_RETURN_IF_ERROR(CheckSeccompField(context.seccomp()));
  CRISP_RETURN_IF_ERROR(CheckAppArmorField(context.apparmor()));
  return CheckNamespaces(context.namespace_options(), sandbox.namespace_options());
}

}  // namespace

absl::Status ValidateContainerConfig(const v1::ContainerConfig& config,
                                     const v1::PodSandboxConfig& sandbox) {
  CRISP_RETURN_IF_ERROR(CheckName("metadata.name", config.metadata().name()));
  if (config.image().image().empty()) return Invalid("image.image", "", "must not be empty");
  CRISP_RETURN_IF_ERROR(CheckWords("command", config.command()));
  CRISP_RETURN_IF_ERROR(CheckWords("args", config.args()));
  CRISP_RETURN_IF_ERROR(CheckLogPath(config.log_path()));
  if (!sandbox.log_directory().empty()) {
    CRISP_RETURN_IF_ERROR(
        CleanAbsolute("sandbox_config.log_directory", sandbox.log_directory()).status());
  }
  CRISP_RETURN_IF_ERROR(CheckMounts(config));
  for (int i = 0; i < config.devices_size(); ++i) {
    CRISP_RETURN_IF_ERROR(CheckDevice(absl::StrCat("devices[", i, "]"), config.devices(i)));
  }
  CRISP_RETURN_IF_ERROR(CdiNames(config).status());
  CRISP_RETURN_IF_ERROR(OciResources(config.linux().resources()).status());
  return CheckSecurityContext(config.linux().security_context(),
                              sandbox.linux().security_context());
}

}  // namespace crisp::spec
