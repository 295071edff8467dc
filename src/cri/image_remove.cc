#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/service.h"

namespace crisp::cri {

absl::StatusOr<v1::RemoveImageResponse> Service::RemoveImage(const v1::RemoveImageRequest& request,
                                                             const Call&) {
  if (request.image().image().empty()) return absl::InvalidArgumentError("image.image is empty");
  absl::MutexLock lock(&layer_use_.mu());
  const absl::StatusOr<image::ImagePtr> image = images_.Find(request.image().image());
  if (absl::IsNotFound(image.status())) return v1::RemoveImageResponse();
  CRISP_RETURN_IF_ERROR(image.status());
  absl::StatusOr<std::vector<image::LayerLease>> unused = images_.Remove((*image)->id);
  if (absl::IsNotFound(unused.status())) return v1::RemoveImageResponse();
  if (!unused.ok()) return base::Prefix(unused.status(), "remove image");
  DeleteLayers(*unused);
  return v1::RemoveImageResponse();
}

}  // namespace crisp::cri
