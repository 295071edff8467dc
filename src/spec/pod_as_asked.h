// A pod's configuration, as a request that comes after RunPodSandbox has it. Pure, thread-safe.
#pragma once

#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// `run` is what RunPodSandbox was asked for, with what the request for a container knows better:
//   - whether privileged containers are allowed: kubelet works that out again when an ephemeral
//     container is added (kubectl debug --profile=sysadmin)
//   - where logs go: kubelet's directory may have changed since, and it looks only there
// Namespaces, cgroup, hostname and DNS stay what they are in the running sandbox. A request without
// a configuration of the pod knows nothing better.
::runtime::v1::PodSandboxConfig PodAsAsked(const ::runtime::v1::PodSandboxConfig& run,
                                           const ::runtime::v1::CreateContainerRequest& request);

}  // namespace crisp::spec
