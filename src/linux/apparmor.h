// What the host's AppArmor offers: whether it is on, which profiles are loaded, loading more.
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
// Reads it now. Profiles that cannot be read count as not loaded.
AppArmor ReadAppArmor();

// Loads the profiles of a policy text, in place of loaded ones with the same names. The kernel
// takes only compiled policy, and the compiler that knows each kernel's format is apparmor_parser,
// so that program is run; kNotFound when the host has none, kFailedPrecondition with its first line
// of complaint when it refuses.
absl::Status LoadAppArmorPolicy(absl::string_view policy, base::Deadline deadline);

}  // namespace crisp::linux
