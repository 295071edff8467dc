// Device nodes of a container and the rules of its device cgroup. Reads the host's /dev.
// Thread-safe.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

struct ContainerDevices {
  std::vector<oci::Device> devices;    // besides the six every container has (null, zero, ...)
  std::vector<oci::DeviceRule> rules;  // all rules; the first one denies everything
};

// A privileged container gets every node below the host's /dev and may use all devices. Others may
// use the nodes of their own /dev and the configured devices, and create (not open) any node. A
// configured host path is a node, a link to one, or a directory of nodes.
absl::StatusOr<ContainerDevices> MakeContainerDevices(const ::runtime::v1::ContainerConfig& config);

// Checks the fields of one configured device without reading the host. `field` is its place in the
// configuration ("devices[0]").
absl::Status CheckDevice(absl::string_view field, const ::runtime::v1::Device& device);

}  // namespace crisp::spec
