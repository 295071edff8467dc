#include "base/status_macros.h"
#include "cri/image_message.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::StatusOr<v1::ListImagesResponse> Service::ListImages(const v1::ListImagesRequest& request,
                                                           const Call&) {
  v1::ListImagesResponse response;
  const std::string& name = request.filter().image().image();
  if (name.empty()) {
    for (const image::ImagePtr& image : images_.List())
      *response.add_images() = ImageMessage(*image);
    return response;
  }
  const absl::StatusOr<image::ImagePtr> image = images_.Find(name);
  if (image.ok()) *response.add_images() = ImageMessage(**image);
  return response;
}

}  // namespace crisp::cri
