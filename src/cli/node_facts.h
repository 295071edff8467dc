// What crisp play needs to know of the machine. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "cli/pod_instance.h"
#include "cli/runtime.h"

namespace crisp::cli {

absl::StatusOr<Node> ReadNode(const RuntimeFacts& runtime);

}  // namespace crisp::cli
