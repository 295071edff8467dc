// The names under which ContainerStatus tells users of a container's image, as users know no ids.
// Pure.
#pragma once

#include <string>

#include "image/image_store.h"
#include "runtime/v1/api.pb.h"

namespace crisp::layers {

struct ImageNames {
  std::string name;  // a tag; without tags the digest
  std::string ref;   // by digest, "host/path@sha256:..."; the id of an image without one
};
// Of several names, the one that the user wrote, or one of the same repository.
ImageNames NamesFor(const image::Image& image, const ::runtime::v1::ImageSpec& asked);

}  // namespace crisp::layers
