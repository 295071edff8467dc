#include "cri/image_message.h"
#include "cri/info.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::StatusOr<v1::ImageStatusResponse> Service::ImageStatus(const v1::ImageStatusRequest& request,
                                                             const Call&) {
  if (request.image().image().empty()) return absl::InvalidArgumentError("image.image is empty");
  v1::ImageStatusResponse response;
  const absl::StatusOr<image::ImagePtr> image = images_.Find(request.image().image());
  // Absent, or no possible name at all: no image, not an error (crictl and kubelet rely on it).
  if (!image.ok()) return response;
  *response.mutable_image() = ImageMessage(**image);
  if (request.verbose()) (*response.mutable_info())["info"] = ImageInfo(**image);
  return response;
}

}  // namespace crisp::cri
