// Object identifiers: 64 lower-case hexadecimal characters from getrandom(2), as every CRI tool
// (and cAdvisor's cgroup pattern) expects them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "base/strong_string.h"

namespace crisp::base {

using SandboxId = StrongString<struct SandboxIdTag>;
using ContainerId = StrongString<struct ContainerIdTag>;

std::string NewId();
// Exactly 64 of [0-9a-f].
bool IsId(absl::string_view text);

}  // namespace crisp::base
