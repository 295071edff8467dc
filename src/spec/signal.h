// Names of signals. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "oci/image_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// The signal that StopContainer sends first: the configuration's, else the image's, else SIGTERM.
// In the form "SIGTERM", "SIGRTMIN+3". kInvalidArgument names the field and the value. A word of
// the image that is not a signal counts as none and is added to `warnings`: the image's user cannot
// mend it.
absl::StatusOr<std::string> StopSignal(const ::runtime::v1::ContainerConfig& config,
                                       const oci::ImageConfig& image,
                                       std::vector<std::string>& warnings);

}  // namespace crisp::spec
