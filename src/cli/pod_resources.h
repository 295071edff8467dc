// Resources of a pod as kubelet turns them into CRI's (kubelet: "kuberuntime_container_linux",
// "qos"). Pure.
#pragma once

#include <string>

#include "cli/manifest/manifest.h"
#include "cli/pod_instance.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cli {

enum class QosClass { kGuaranteed, kBurstable, kBestEffort };

QosClass QosOf(const PodSpec& spec);

// Where kubelet keeps the pod's cgroup, in the form of the node's driver.
std::string CgroupParent(const Pod& pod, const std::string& uid, const Node& node);

// What the containers together ask for, for the sandbox: informative.
::runtime::v1::LinuxContainerResources SandboxResources(const PodSpec& spec, const Node& node);

::runtime::v1::LinuxContainerResources ContainerResources(const PodSpec& spec,
                                                          const Container& container,
                                                          const Node& node);

// Of all containers, for the size of a volume in memory; 0: a container has no limit.
int64_t PodMemoryLimit(const PodSpec& spec);

}  // namespace crisp::cli
