// CRI's resources as cgroup limits. Pure, thread-safe. kInvalidArgument names the field and the
// value.
#pragma once

#include "absl/status/statusor.h"
#include "cgroup/resources.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// For a new container, with its device rules (already in `linux_`). A memory limit without a swap
// limit allows no swap.
absl::StatusOr<cgroup::Resources> CgroupResources(
    const ::runtime::v1::LinuxContainerResources& resources, const oci::Linux& linux_);
// For an update: only the limits that the request sets.
absl::StatusOr<cgroup::Resources> CgroupUpdate(
    const ::runtime::v1::LinuxContainerResources& update);
// The limits in force after `update` is applied to `current`.
::runtime::v1::LinuxContainerResources Merge(const ::runtime::v1::LinuxContainerResources& current,
                                             const ::runtime::v1::LinuxContainerResources& update);

// The same limits as CgroupResources, as the OCI spec has them, without devices.
absl::StatusOr<oci::Resources> OciResources(
    const ::runtime::v1::LinuxContainerResources& resources);

}  // namespace crisp::spec
