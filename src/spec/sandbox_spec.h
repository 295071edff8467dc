// PodSandboxConfig -> oci::Spec of the pause container. Pure: reads nothing but its input (and a
// Localhost seccomp profile's file). kInvalidArgument names field and value.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

struct SandboxInput {
  const ::runtime::v1::PodSandboxConfig& config;
  std::string id;
  std::string hostname;
  std::string
      pause_root;  // directory with the file `pause` and the empty directories dev/shm and proc
  std::string cgroup_path;
};

// New namespaces for all but those of mode NODE; /dev/shm is a tmpfs of 64 MiB in the pause's own
// mount namespace, which containers bind (as /proc/<pause>/root/dev/shm), so that it ends with the
// pod and is nowhere on the host.
absl::StatusOr<oci::Spec> SandboxSpec(const SandboxInput& input);

}  // namespace crisp::spec
