#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::RemoveImageResponse> RemoveImage(const Api& runtime,
                                                    const v1::RemoveImageRequest& request,
                                                    const Call&) {
  if (request.image().image().empty())
    return absl::InvalidArgumentError("image.image: must not be empty");
  const absl::StatusOr<image::ImagePtr> image = runtime.images.Find(request.image().image());
  if (absl::IsNotFound(image.status())) return v1::RemoveImageResponse();
  CRISP_RETURN_IF_ERROR(image.status());
  CRISP_RETURN_IF_ERROR(base::Prefix(runtime.images.Remove(*image), "remove image"));
  return v1::RemoveImageResponse();
}

}  // namespace crisp::cri
