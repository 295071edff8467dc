#include "cri/pull_credentials.h"

#include "base/status_macros.h"

namespace crisp::cri {

absl::StatusOr<image::Credentials> CredentialsOf(const ::runtime::v1::AuthConfig& auth) {
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

}  // namespace crisp::cri
