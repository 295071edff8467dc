#include "image/credentials.h"

#include "absl/strings/escaping.h"

namespace crisp::image {

absl::StatusOr<Credentials> DecodeBasicAuth(absl::string_view base64) {
  std::string decoded;
  const size_t max_auth_bytes = 64 << 10;
  if (base64.size() > max_auth_bytes || !absl::Base64Unescape(base64, &decoded)) {
    return absl::InvalidArgumentError("auth: must be base64");
  }
  const size_t colon = decoded.find(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError("auth: must be base64 of username:password");
  }
  Credentials credentials;
  credentials.username = decoded.substr(0, colon);
  credentials.password = decoded.substr(colon + 1);
  // Some Docker tools pad the password with NULs, which other clients strip too.
  credentials.password.erase(credentials.password.find_last_not_of('\0') + 1);
  return credentials;
}

}  // namespace crisp::image
