#include "cri/handlers.h"
#include "cri/image_message.h"
#include "cri/info.h"

namespace crisp::cri {

absl::StatusOr<v1::ImageStatusResponse> ImageStatus(const Api& runtime,
                                                    const v1::ImageStatusRequest& request,
                                                    const Call&) {
  if (request.image().image().empty())
    return absl::InvalidArgumentError("image.image: must not be empty");
  v1::ImageStatusResponse response;
  const absl::StatusOr<image::ImagePtr> image = runtime.images.Find(request.image().image());
  // An image that is absent, or a name that cannot be one, is an empty answer and not an error:
  // crictl and kubelet rely on it.
  if (!image.ok()) return response;
  *response.mutable_image() = ImageMessage(**image);
  if (request.verbose()) (*response.mutable_info())["info"] = ImageInfo(**image);
  return response;
}

}  // namespace crisp::cri
