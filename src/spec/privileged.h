// What `privileged` means, in one place. A privileged container
//   - has every capability that crispd has              (capabilities.cc)
//   - runs without seccomp, AppArmor, masked and read-only paths
//                                                       (container_spec.cc, apparmor.cc)
//   - sees /sys and its cgroups writable, and all cgroups of the host unless it asks for a cgroup
//     namespace of its own                              (container_mounts.cc, cgroup_view.cc)
//   - has every device of the host, and may use those that appear later (devices.cc, cdi.cc)
// It keeps its namespaces, its user, its limits and the pod's user namespace. A privileged sandbox
// only permits such containers, and runs its pause process without seccomp (sandbox_spec.cc).
// Pure, thread-safe. Source: api.proto, LinuxContainerSecurityContext.privileged.
#pragma once

#include "absl/status/status.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

bool IsPrivileged(const ::runtime::v1::LinuxContainerSecurityContext& context);
bool IsPrivileged(const ::runtime::v1::LinuxSandboxSecurityContext& context);

// kInvalidArgument for a privileged container in a sandbox that is not.
absl::Status CheckPrivileged(const ::runtime::v1::LinuxContainerSecurityContext& container,
                             const ::runtime::v1::LinuxSandboxSecurityContext& sandbox);

}  // namespace crisp::spec
