// Which AppArmor profile a container's process is put under.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// The profile of RuntimeDefault. Whoever starts the daemon loads it into the kernel.
inline constexpr char kDefaultAppArmorProfile[] = "crisp-default";

// What the host's kernel knows.
struct AppArmorHost {
  bool enabled = false;
  std::string profiles;  // securityfs apparmor/profiles: "name (mode)" lines
};
AppArmorHost ReadAppArmorHost();

// Empty: none. Fails closed: kFailedPrecondition for a profile on a host without AppArmor or one
// that is not loaded. Without any choice RuntimeDefault is meant (kubernetes#51746).
absl::StatusOr<std::string> AppArmorProfile(
    const runtime::v1::LinuxContainerSecurityContext& context, const AppArmorHost& host);

}  // namespace crisp::spec
