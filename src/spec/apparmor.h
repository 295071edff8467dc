// Which AppArmor profile a container's process is put under.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "linux/apparmor.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// The name of the profile, empty for none. kFailedPrecondition for a Localhost profile on a host
// without AppArmor, and for one that is not loaded: such a container must not run unconfined.
// RuntimeDefault means no profile on a host without AppArmor. A container that makes no choice gets
// RuntimeDefault (kubernetes#51746), and none on a host where crispd could not load that profile.
absl::StatusOr<std::string> AppArmorProfile(
    const ::runtime::v1::LinuxContainerSecurityContext& context, const linux::AppArmor& host);

}  // namespace crisp::spec
