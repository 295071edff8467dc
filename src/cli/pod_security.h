// securityContext and namespaces of a pod as kubelet turns them into CRI's. Pure.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/manifest/manifest.h"
#include "cli/pod_instance.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cli {

// Where a Localhost seccomp profile is looked for, as kubelet does.
inline constexpr char kSeccompDirectory[] = "/var/lib/kubelet/seccomp";

// Who an image runs as (CRI Image.uid, Image.username); neither: root.
struct ImageUser {
  std::optional<int64_t> uid;
  std::string username;
};

// With hostUsers false: ids 0 to 65535 of the pod, from `users` on; otherwise nothing.
inline constexpr uint32_t kIdsPerPod = 65536;
template <typename Mappings>
void AddIdMapping(const std::optional<uint32_t>& users, Mappings* mappings) {
  if (!users.has_value()) return;
  auto* mapping = mappings->Add();
  mapping->set_host_id(*users);
  mapping->set_length(kIdsPerPod);
}

::runtime::v1::LinuxSandboxSecurityContext SandboxSecurity(const PodSpec& spec,
                                                           const PodInstance& instance);

// kFailedPrecondition when runAsNonRoot forbids the user.
absl::StatusOr<::runtime::v1::LinuxContainerSecurityContext> ContainerSecurity(
    const PodSpec& spec, const Container& container, const PodInstance& instance, const Node& node,
    const ImageUser& image_user);

}  // namespace crisp::cli
