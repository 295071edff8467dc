// The credentials of a pull (CRI AuthConfig). Secret: never logged, never in an error message.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::image {

// All empty: anonymous. Sent only after a 401 of the registry, the first that is set:
// registry_token as the bearer token, identity_token for an OAuth2 refresh, username and password.
struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
  // Host or URL of a registry. When set, the secrets are sent to no other registry.
  std::string server_address;

  friend bool operator==(const Credentials&, const Credentials&) = default;
};

// The host of Credentials::server_address, of an API's URL or of a reference, so that they can be
// compared: in lower case, without the port of its scheme (https if there is none), and "docker.io"
// for all addresses of Docker Hub ("https://index.docker.io/v1/").
std::string ServerName(absl::string_view address);

// AuthConfig.auth: base64 of "username:password". The kInvalidArgument does not contain the text.
absl::StatusOr<Credentials> DecodeBasicAuth(absl::string_view base64);

}  // namespace crisp::image
