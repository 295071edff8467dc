// The files that all containers of a pod have: /etc/hostname, /etc/hosts and /etc/resolv.conf.
// Containers may write to them, so they lie in a small tmpfs: a pod can fill no disk with them, and
// what it writes counts as its memory. The tmpfs is in pause's own mount namespace
// (spec/sandbox_spec.cc), so it needs no mount on the host, outlives crispd and ends with the pod.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/paths.h"
#include "linux/process_ref.h"
#include "snapshot/snapshot_store.h"
#include "store/record.h"

namespace crisp::runtime {

// The host ids of a pod's root.
snapshot::Owner RootOwner(const ::runtime::v1::PodSandboxConfig& sandbox);

// The pod's host name, or the node's for a pod without one.
absl::StatusOr<std::string> PodHostname(const ::runtime::v1::PodSandboxConfig& config);

// Once, when pause runs and before any container can.
absl::Status WritePodFiles(const linux::ProcessRef& pause,
                           const ::runtime::v1::PodSandboxConfig& config);

struct PodFiles {
  std::string hostname;
  std::string hosts;
  std::string resolv_conf;
};
// Where a container mounts them from. Pods of an older crispd have them in `directory`.
absl::StatusOr<PodFiles> FindPodFiles(const linux::ProcessRef& pause, const std::string& directory);

}  // namespace crisp::runtime
