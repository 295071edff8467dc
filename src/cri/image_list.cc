#include "base/status_macros.h"
#include "cri/handlers.h"
#include "cri/image_message.h"

namespace crisp::cri {

absl::StatusOr<v1::ListImagesResponse> ListImages(const Api& runtime,
                                                  const v1::ListImagesRequest& request,
                                                  const Call&) {
  v1::ListImagesResponse response;
  const std::string& name = request.filter().image().image();
  if (name.empty()) {
    for (const image::ImagePtr& image : runtime.images.List())
      *response.add_images() = ImageMessage(*image);
    return response;
  }
  const absl::StatusOr<image::ImagePtr> image = runtime.images.Find(name);
  if (image.ok()) *response.add_images() = ImageMessage(**image);
  return response;
}

}  // namespace crisp::cri
