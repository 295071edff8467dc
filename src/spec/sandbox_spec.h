// PodSandboxConfig -> oci::Spec of the pause container. Reads nothing but its input and the file of
// a Localhost seccomp profile. Thread-safe. kInvalidArgument names field and value.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// Where pause has the tmpfs for the files that all containers of the pod mount
// (runtime/pod_files.h); the directory is in the pause's root file system.
inline constexpr char kPodFilesMount[] = "/etc";

struct SandboxInput {
  const ::runtime::v1::PodSandboxConfig& config;
  std::string id;
  std::string hostname;
  // A directory with the file `pause` and the empty directories dev/shm and proc.
  std::string pause_root;
  std::string cgroup_path;
  std::optional<std::string> seccomp_artifact = {};  // as ContainerInput has it
};

// New namespaces except those of mode NODE. /dev/shm is a tmpfs of 64 MiB in the mount namespace of
// pause; containers bind /proc/<pause>/root/dev/shm. It ends with the pod and needs no mount point
// on the host.
absl::StatusOr<oci::Spec> SandboxSpec(const SandboxInput& input);

}  // namespace crisp::spec
