// Names and numbers of capabilities(7). Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::linux {

// Bit n is capability number n.
using CapabilityMask = uint64_t;

// kInvalidArgument naming the first word that is not a capability. "CAP_CHOWN" is one; "chown" and
// "CHOWN" are not. One of a newer kernel is named by its number: "CAP_63".
absl::StatusOr<CapabilityMask> ParseCapabilities(const std::vector<std::string>& names);
// In the order of their numbers.
std::vector<std::string> CapabilityNames(CapabilityMask mask);

}  // namespace crisp::linux
