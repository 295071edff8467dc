// The seccomp and AppArmor fields of a request: whether their members go together. Pure,
// thread-safe. kInvalidArgument names the member. Source: api.proto, SecurityProfile.
#pragma once

#include "absl/status/status.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

absl::Status CheckSeccompField(const ::runtime::v1::SecurityProfile& profile);
// An AppArmor profile cannot be an artifact.
absl::Status CheckAppArmorField(const ::runtime::v1::SecurityProfile& profile);

}  // namespace crisp::spec
