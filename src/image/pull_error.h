// The errors of pulls as their callers get them. Pure, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "oci/reference.h"

namespace crisp::image {

// "pull <reference>: <message>". kUnavailable gets "RegistryUnavailable: " before that, which
// kubelet looks for at the beginning: do not prefix it.
absl::Status PullError(const absl::Status& status, const oci::Reference& reference);

}  // namespace crisp::image
