// A pod as kubelet would ask a CRI runtime for it. Pure; golden files show each message whole.
//
// Different from kubelet's: the annotations io.kubernetes.container.hash and .preStopHandler, with
// which kubelet finds out what it asked for before it was restarted, are not set.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/environment.h"
#include "cli/manifest/manifest.h"
#include "cli/pod_instance.h"
#include "cli/pod_security.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cli {

::runtime::v1::PodSandboxConfig SandboxMessage(const Pod& pod, const PodInstance& instance,
                                               const Node& node);

struct ContainerInput {
  const Pod& pod;
  const Container& container;
  const Manifest& objects;
  const PodInstance& instance;
  const Node& node;
  uint32_t attempt = 0;
  std::string image_id;
  ImageUser image_user;
  std::map<std::string, std::string> volume_image_ids;  // by the name of the volume
};

// Errors name the field: variables of subPathExpr that are not set, runAsNonRoot.
absl::StatusOr<::runtime::v1::ContainerConfig> ContainerMessage(const ContainerInput& input);

// Where things of a pod are on the host. Logs: <logs>/<namespace>_<name>_<uid>/<container>/<n>.log,
// as kubelet has them and log collectors expect them.
std::string LogDirectory(const Pod& pod, const PodInstance& instance);
std::string LogFile(const Container& container, uint32_t attempt);  // in the log directory
std::string HostsPath(const PodInstance& instance);
std::string VolumePath(const Volume& volume, const PodInstance& instance);
// Where the subPath of the container's mount with this index is bound.
std::string SubPathTarget(const Container& container, size_t index, const PodInstance& instance);
std::string TerminationLog(const Container& container, uint32_t attempt,
                           const PodInstance& instance);

// What subPath and subPathExpr name below the volume; empty: the volume itself.
absl::StatusOr<std::string> SubPathOf(const VolumeMount& mount, const Environment& environment);

const Volume& VolumeOf(const PodSpec& spec, const std::string& name);

}  // namespace crisp::cli
