// An image of the store as CRI's Image. Pure and deterministic: whatever name it was asked by, the
// answer is the same.
#pragma once

#include <string>

#include "image/image_store.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cri {

runtime::v1::Image ImageMessage(const image::Image& image);

// The image as ContainerStatus tells users of it, who know no ids.
struct ImageNames {
  std::string name;  // a tag; without tags the digest
  std::string ref;   // by digest, "host/path@sha256:..."; the id of an image without one
};
// Of several, the one that the user wrote, or one of the same repository.
ImageNames NamesFor(const image::Image& image, const runtime::v1::ImageSpec& asked);

}  // namespace crisp::cri
