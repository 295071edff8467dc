// CRI's resources as cgroup limits. Pure. kInvalidArgument names the field and the value.
#pragma once

#include "absl/status/statusor.h"
#include "cgroup/resources.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// For a new container: also its device rules (already in `linux_`). With a memory limit and no swap
// limit, no swap.
absl::StatusOr<cgroup::Resources> CgroupResources(
    const ::runtime::v1::LinuxContainerResources& resources, const oci::Linux& linux_);
// For an update: only what the request sets.
absl::StatusOr<cgroup::Resources> CgroupUpdate(
    const ::runtime::v1::LinuxContainerResources& update);
// What is in force after `update` was applied to `current`.
::runtime::v1::LinuxContainerResources Merge(const ::runtime::v1::LinuxContainerResources& current,
                                             const ::runtime::v1::LinuxContainerResources& update);

// The same limits as CgroupResources in the words of the OCI document, without devices.
absl::StatusOr<oci::Resources> OciResources(
    const ::runtime::v1::LinuxContainerResources& resources);

}  // namespace crisp::spec
