// What the API server fills in that the types of manifest.h do not have as a default: pull policies
// by tag, requests from limits, host ports of the host's network. Pure.
#pragma once

#include "cli/manifest/manifest.h"

namespace crisp::cli {

void ApplyDefaults(PodSpec& spec);

}  // namespace crisp::cli
