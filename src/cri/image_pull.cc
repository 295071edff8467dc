#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/handlers.h"
#include "cri/pull_credentials.h"
#include "oci/reference.h"

namespace crisp::cri {

absl::StatusOr<v1::PullImageResponse> PullImage(const Api& runtime,
                                                const v1::PullImageRequest& request,
                                                const Call& call) {
  CRISP_RETURN_IF_ERROR(runtime.handlers.Find(request.image().runtime_handler()).status());
  absl::StatusOr<oci::Reference> reference = oci::Reference::Parse(request.image().image());
  if (!reference.ok()) return base::Prefix(reference.status(), "image.image");
  absl::StatusOr<image::Credentials> credentials = CredentialsOf(request.auth());
  if (!credentials.ok()) return base::Prefix(credentials.status(), "auth.auth");
  CRISP_ASSIGN_OR_RETURN(const image::ImagePtr image,
                         runtime.images.Pull(*reference, *credentials, call));
  v1::PullImageResponse response;
  response.set_image_ref(image->id.str());
  return response;
}

}  // namespace crisp::cri
