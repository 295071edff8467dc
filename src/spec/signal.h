// Names of signals. Pure.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "oci/image_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// What StopContainer sends first: the configuration's signal, else the image's, else SIGTERM; in
// the form "SIGTERM", "SIGRTMIN+3".
absl::StatusOr<std::string> StopSignal(const ::runtime::v1::ContainerConfig& config,
                                       const oci::ImageConfig& image);

}  // namespace crisp::spec
