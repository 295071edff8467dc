// Capability sets of a container.
#pragma once

#include <string>
#include <vector>

#include "linux/capabilities.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// The bounding set of crispd: it cannot give a container more than that.
linux::CapabilityMask HeldCapabilities();

struct ContainerCapabilities {
  oci::Capabilities sets;
  // Words that are not a capability, by field and value. They are ignored, as containerd and runc
  // do: a manifest may name a capability of a newer kernel.
  std::vector<std::string> warnings;
};

// containerd's 14 with the additions and drops of `context`, or all when it is privileged; never
// more than `held`. "ALL" counts first, then single additions, then single drops. Inheritable holds
// the ambient ones only (CVE-2022-24769).
ContainerCapabilities CapabilitiesOf(const ::runtime::v1::LinuxContainerSecurityContext& context,
                                     linux::CapabilityMask held);

}  // namespace crisp::spec
