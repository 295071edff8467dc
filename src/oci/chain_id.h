// The name of an unpacked layer together with all layers below it: "sha256:<64 hex>"
// (image-spec config.md, "Layer ChainID"). Only the lowest layer has the same text as diff id, so
// the two must not be mixed up. digest::ChainId computes one.
#pragma once

#include "base/strong_string.h"

namespace crisp::oci {

// Empty: below the lowest layer, or an image without layers.
using ChainId = base::StrongString<struct ChainIdTag>;

}  // namespace crisp::oci
