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

// AuthConfig.auth: base64 of "username:password". The kInvalidArgument does not contain the text.
absl::StatusOr<Credentials> DecodeBasicAuth(absl::string_view base64);

}  // namespace crisp::image
