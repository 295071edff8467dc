// Which AppArmor profile a container's process is put under.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "linux/apparmor.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// Empty: none. Fails closed: kFailedPrecondition for a Localhost profile on a host without
// AppArmor, and for one that is not loaded. RuntimeDefault means nothing on a host without
// AppArmor. Without any choice RuntimeDefault is meant (kubernetes#51746), but not insisted on: a
// host that could not load it still runs such containers.
absl::StatusOr<std::string> AppArmorProfile(
    const ::runtime::v1::LinuxContainerSecurityContext& context, const linux::AppArmor& host);

}  // namespace crisp::spec
