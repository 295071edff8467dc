#include "spec/sandbox_spec.h"

#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spec/deprecated_fields.h"
#include "spec/fields.h"
#include "spec/namespaces.h"
#include "spec/privileged.h"
#include "spec/seccomp.h"
#include "spec/sysctls.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

// The user id of Kubernetes' own pause image, which no other user has: pause needs no rights. In a
// shared pid namespace the containers' root cannot ptrace it without CAP_SYS_PTRACE.
constexpr uint32_t kPauseId = 65535;

// The OOM killer takes pause before crispd (-999) and after every other process of the pod.
constexpr int kPauseOomScore = -998;

absl::StatusOr<oci::User> PauseUser(const v1::LinuxSandboxSecurityContext& context,
                                    const std::optional<UserNamespace>& userns) {
  oci::User user;
  if (context.has_run_as_group() && !context.has_run_as_user()) {
    return GroupNeedsUser(context.run_as_group().value());
  }
  if (context.has_run_as_user()) {
    CRISP_RETURN_IF_ERROR(CheckId("runAsUser", context.run_as_user().value()));
    CRISP_RETURN_IF_ERROR(CheckId("runAsGroup", context.run_as_group().value()));
    user.uid = static_cast<uint32_t>(context.run_as_user().value());
    user.gid = static_cast<uint32_t>(context.run_as_group().value());
  } else if (!userns.has_value() || userns->uids.size > kPauseId) {
    user.uid = user.gid = kPauseId;
  }
  std::set<uint32_t> groups = {user.gid};
  for (int i = 0; i < context.supplemental_groups_size(); ++i) {
    const int64_t group = context.supplemental_groups(i);
    CRISP_RETURN_IF_ERROR(CheckId(absl::StrCat("supplementalGroups[", i, "]"), group));
    groups.insert(static_cast<uint32_t>(group));
  }
  user.additional_gids.assign(groups.begin(), groups.end());
  return user;
}

absl::Status AddNamespaces(const SandboxInput& input, oci::Spec& spec) {
  const v1::NamespaceOption& options = input.config.linux().security_context().namespace_options();
  spec.linux_.namespaces.push_back({.type = "mount", .path = ""});
  if (options.network() != v1::NODE) {
    spec.linux_.namespaces.push_back({.type = "network", .path = ""});
    spec.linux_.namespaces.push_back({.type = "uts", .path = ""});
    spec.hostname = input.hostname;
  }
  if (options.ipc() != v1::NODE) spec.linux_.namespaces.push_back({.type = "ipc", .path = ""});
  if (options.pid() != v1::NODE) spec.linux_.namespaces.push_back({.type = "pid", .path = ""});
  CRISP_ASSIGN_OR_RETURN(const std::optional<UserNamespace> userns, PodUserNamespace(options));
  if (!userns.has_value()) return absl::OkStatus();
  spec.linux_.namespaces.push_back({.type = "user", .path = ""});
  spec.linux_.uid_mappings = {userns->uids};
  spec.linux_.gid_mappings = {userns->gids};
  return absl::OkStatus();
}

void AddMounts(const v1::NamespaceOption& options, oci::Spec& spec) {
  oci::Mount& proc = spec.mounts.emplace_back();
  proc.destination = "/proc";
  proc.type = proc.source = "proc";
  proc.options = {"nosuid", "noexec", "nodev"};
  // Containers write to the files in it: they can fill this much, and make no other files. The
  // links of each container (spec/pod_files.h) take two inodes.
  oci::Mount& files = spec.mounts.emplace_back();
  files.destination = kPodFilesMount;
  files.type = "tmpfs";
  files.source = "pod-files";
  files.options = {"nosuid", "noexec", "nodev", "mode=755", "size=4m", "nr_inodes=1024"};
  if (options.ipc() == v1::NODE) return;
  oci::Mount& shm = spec.mounts.emplace_back();
  shm.destination = "/dev/shm";
  shm.type = "tmpfs";
  shm.source = "shm";
  shm.options = {"nosuid", "noexec", "nodev", "mode=1777", "size=64m"};
}

}  // namespace

absl::StatusOr<oci::Spec> SandboxSpec(const SandboxInput& input) {
  const v1::LinuxSandboxSecurityContext& context = input.config.linux().security_context();
  CRISP_RETURN_IF_ERROR(CheckNamespaces(context.namespace_options()));
  CRISP_ASSIGN_OR_RETURN(const std::optional<UserNamespace> userns,
                         PodUserNamespace(context.namespace_options()));
  oci::Spec spec;
  spec.process.args = {"/pause"};
  CRISP_ASSIGN_OR_RETURN(spec.process.user, PauseUser(context, userns));
  spec.process.capabilities.emplace();
  spec.process.no_new_privileges = true;
  spec.process.oom_score_adj = kPauseOomScore;
  spec.root = {.path = input.pause_root, .readonly = true};
  CRISP_RETURN_IF_ERROR(AddNamespaces(input, spec));
  AddMounts(context.namespace_options(), spec);
  CRISP_ASSIGN_OR_RETURN(spec.linux_.sysctl, PodSysctls(input.config));
  if (!IsPrivileged(context)) {
    CRISP_ASSIGN_OR_RETURN(spec.linux_.seccomp,
                           SelectSeccomp(context.has_seccomp() ? &context.seccomp() : nullptr,
                                         SeccompProfilePath(context), *spec.process.capabilities));
    CRISP_ASSIGN_OR_RETURN(
        spec.linux_.artifact_seccomp,
        ArtifactSeccomp(context.seccomp(), input.seccomp_artifact, *spec.process.capabilities));
  }
  spec.linux_.cgroups_path = input.cgroup_path;
  return spec;
}

}  // namespace crisp::spec
