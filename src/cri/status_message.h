// The statuses of CRI from the domain objects; what the Status calls and the events have in common.
#pragma once

#include "container/container.h"
#include "runtime/v1/api.pb.h"
#include "sandbox/sandbox.h"

namespace crisp::cri {

::runtime::v1::ContainerStatus StatusMessage(const container::Container& container);
::runtime::v1::PodSandboxStatus StatusMessage(const sandbox::Sandbox& sandbox);

}  // namespace crisp::cri
