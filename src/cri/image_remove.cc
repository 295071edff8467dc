#include "base/errno.h"
#include "base/status_macros.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::StatusOr<v1::RemoveImageResponse> Service::RemoveImage(const v1::RemoveImageRequest& request,
                                                             const Call&) {
  if (request.image().image().empty()) return absl::InvalidArgumentError("image.image is empty");
  const absl::StatusOr<image::ImagePtr> image = images_.Find(request.image().image());
  if (absl::IsNotFound(image.status())) return v1::RemoveImageResponse();
  CRISP_RETURN_IF_ERROR(image.status());
  const absl::Status removed = images_.Remove((*image)->id);
  if (absl::IsNotFound(removed)) return v1::RemoveImageResponse();
  CRISP_RETURN_IF_ERROR(base::Prefix(removed, "remove image"));
  layer_use_.DeleteUnused();
  return v1::RemoveImageResponse();
}

}  // namespace crisp::cri
