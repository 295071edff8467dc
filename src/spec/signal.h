// Names of signals. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "oci/image_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// The signal that StopContainer sends first: the configuration's, else the image's, else SIGTERM.
// In the form "SIGTERM", "SIGRTMIN+3". kInvalidArgument names the field and the value.
absl::StatusOr<std::string> StopSignal(const ::runtime::v1::ContainerConfig& config,
                                       const oci::ImageConfig& image);

}  // namespace crisp::spec
