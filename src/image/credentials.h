// What kubelet sends with a pull (CRI AuthConfig). Secret: never printed, never in an error.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::image {

// All empty: anonymous. Used only after the registry asked (401), in this order: registry_token as
// the bearer token itself, identity_token by OAuth2 refresh, username and password.
struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
  // When set, only a registry of this host (a URL is accepted) is ever sent the secrets.
  std::string server_address;

  friend bool operator==(const Credentials&, const Credentials&) = default;
};

// AuthConfig.auth: base64 of "username:password". kInvalidArgument without repeating the text.
absl::StatusOr<Credentials> DecodeBasicAuth(absl::string_view base64);

}  // namespace crisp::image
