#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/handlers.h"
#include "oci/reference.h"

namespace crisp::cri {
namespace {

absl::StatusOr<image::Credentials> CredentialsOf(const v1::AuthConfig& auth) {
  image::Credentials credentials;
  // As for containerd, it counts only without what else says it.
  const bool encoded = auth.username().empty() && auth.identity_token().empty();
  if (encoded && !auth.auth().empty()) {
    CRISP_ASSIGN_OR_RETURN(credentials, image::DecodeBasicAuth(auth.auth()));
  }
  if (!auth.username().empty()) credentials.username = auth.username();
  if (!auth.password().empty()) credentials.password = auth.password();
  credentials.identity_token = auth.identity_token();
  credentials.registry_token = auth.registry_token();
  credentials.server_address = auth.server_address();
  return credentials;
}

}  // namespace

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
