// An image of the store as CRI's Image. Pure and deterministic: whatever name it was asked by, the
// answer is the same.
#pragma once

#include <string>

#include "image/image_store.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cri {

::runtime::v1::Image ImageMessage(const image::Image& image);

}  // namespace crisp::cri
