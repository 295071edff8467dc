// Checks of a configuration before anything is created. kInvalidArgument names the field (with the
// index in a list), the value and what is wrong with it. Pure, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

absl::Status ValidateSandboxConfig(const ::runtime::v1::PodSandboxConfig& config);
// `sandbox` is the configuration of the container's pod (spec/pod_as_asked.h).
absl::Status ValidateContainerConfig(const ::runtime::v1::ContainerConfig& config,
                                     const ::runtime::v1::PodSandboxConfig& sandbox);

}  // namespace crisp::spec
