// The files that all containers of a pod have: /etc/hostname, /etc/hosts and /etc/resolv.conf.
// Containers may write to them, so they lie in a small tmpfs: a pod can fill no disk with them, and
// what it writes counts as its memory. The tmpfs is in pause's own mount namespace
// (spec/sandbox_spec.cc), so it needs no mount on the host, outlives crispd and ends with the pod.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/id.h"
#include "base/paths.h"
#include "linux/process_ref.h"
#include "sandbox/sandbox.h"
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
// Where a container mounts them from, with a link of its own to the hostname (spec/pod_files.h).
// Where no link can be made, for one because a container has filled the tmpfs, it is the pod's
// file, and the container does not show its id to tracers. Pods of an older crispd have the files
// on disk.
absl::StatusOr<PodFiles> PlacePodFiles(const sandbox::Sandbox& sandbox, const base::Paths& paths,
                                       const base::ContainerId& container);
// Removes the link; of a container that runs the mount stays. What is left ends with the pod.
void RemoveContainerLink(const sandbox::Sandbox& sandbox, const base::Paths& paths,
                         const base::ContainerId& container);

}  // namespace crisp::runtime
