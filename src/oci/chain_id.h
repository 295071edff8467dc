// The name of an unpacked layer together with all layers below it: "sha256:<64 hex>"
// (image-spec config.md, "Layer ChainID"). A diff id has the same form but names one layer without
// those below it; the two are equal only for the lowest layer. digest::ChainId computes one.
#pragma once

#include "base/strong_string.h"

namespace crisp::oci {

// Empty: below the lowest layer, or an image without layers.
using ChainId = base::StrongString<struct ChainIdTag>;

}  // namespace crisp::oci
