// The host's AppArmor: whether it is enabled, which profiles are loaded, and loading more.
// Sources: apparmor(7), apparmor_parser(8), Documentation/admin-guide/LSM/apparmor.
// Thread-safe: no state.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/deadline.h"

namespace crisp::linux {

struct AppArmor {
  bool enabled = false;
  std::string profiles;  // securityfs apparmor/profiles: "name (mode)" lines

  bool IsLoaded(absl::string_view profile) const;
};
// Reads the present state. Profiles that cannot be read count as not loaded.
AppArmor ReadAppArmor();

// Loads the profiles of a policy text and replaces loaded ones with the same names. Runs
// apparmor_parser, because the kernel takes only compiled policy, in a format that differs between
// kernels. kNotFound when the host does not have that program, kFailedPrecondition with the first
// line of its error output when it refuses the text.
absl::Status LoadAppArmorPolicy(absl::string_view policy, base::Deadline deadline);

}  // namespace crisp::linux
