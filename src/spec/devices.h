// Device nodes of a container and the rules of its device cgroup. Looks at the host's nodes.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

struct ContainerDevices {
  std::vector<oci::Device> devices;    // besides the six every container has (null, zero, ...)
  std::vector<oci::DeviceRule> rules;  // complete, the first one denies everything
};

// A privileged container gets every node below the host's /dev and may use all of them. Others may
// use the nodes of the container's own /dev, create (not open) any, and use what is configured; a
// host path may be a node, a link to one, or a directory of them.
absl::StatusOr<ContainerDevices> MakeContainerDevices(const ::runtime::v1::ContainerConfig& config);

// Fields of one configured device, without a look at the host.
absl::Status CheckDevice(const ::runtime::v1::Device& device);

}  // namespace crisp::spec
