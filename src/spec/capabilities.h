// Capability sets of a container.
#pragma once

#include "absl/status/statusor.h"
#include "linux/capabilities.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// The bounding set of crispd: it cannot give a container more than that.
linux::CapabilityMask HeldCapabilities();

// containerd's 14 with the additions and drops of `context`, or all when it is privileged; never
// more than `held`. "ALL" counts first, then single additions, then single drops. Inheritable holds
// the ambient ones only (CVE-2022-24769). kInvalidArgument names a capability that does not exist.
absl::StatusOr<oci::Capabilities> ContainerCapabilities(
    const ::runtime::v1::LinuxContainerSecurityContext& context, linux::CapabilityMask held);

}  // namespace crisp::spec
