// The process of a container: arguments, environment, working directory. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "oci/image_spec.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"
#include "spec/container_spec.h"

namespace crisp::spec {

// Arguments, environment, working directory, terminal, user, no_new_privileges, OOM score.
// ContainerSpec adds capabilities and profiles.
absl::StatusOr<oci::Process> MakeContainerProcess(const ContainerInput& input);

// Entrypoint and Cmd as Kubernetes documents it: `command` replaces both, `args` replaces Cmd.
// kInvalidArgument when nothing is left to run.
absl::StatusOr<std::vector<std::string>> ContainerArguments(
    const ::runtime::v1::ContainerConfig& config, const oci::ImageConfig& image);

}  // namespace crisp::spec
