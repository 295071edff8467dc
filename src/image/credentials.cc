#include "image/credentials.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/strip.h"

namespace crisp::image {

std::string ServerName(absl::string_view address) {
  std::string lower = absl::AsciiStrToLower(absl::StripAsciiWhitespace(address));
  absl::string_view name = lower;
  const bool plain = absl::ConsumePrefix(&name, "http://");
  (void)absl::ConsumePrefix(&name, "https://");
  name = name.substr(0, name.find('/'));
  (void)absl::ConsumeSuffix(&name, plain ? ":80" : ":443");
  if (name == "index.docker.io" || name == "registry-1.docker.io") return "docker.io";
  return std::string(name);
}

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
