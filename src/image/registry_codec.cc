#include "image/registry_codec.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/json.h"

namespace crisp::image {
namespace {

using base::Json;

constexpr size_t kMaxToken = 64 << 10;

std::string TextMember(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

absl::StatusOr<std::string> DecodeToken(absl::string_view text) {
  const auto decoded = base::DecodeJson("token", text, [](const Json& answer) {
    std::string token = TextMember(answer, "token");
    return token.empty() ? TextMember(answer, "access_token") : token;
  });
  // The parser's error would quote the text, which contains a secret.
  const bool usable =
      decoded.ok() && !decoded->empty() && decoded->size() <= kMaxToken &&
      std::all_of(decoded->begin(), decoded->end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!usable)
    return absl::UnauthenticatedError("token server sent an answer without a valid token");
  return *decoded;
}

std::string DecodeRegistryError(absl::string_view text) {
  const auto decoded = base::DecodeJson("error", text, [](const Json& answer) {
    const Json& first = answer.at("errors").at(0);
    const std::string message = TextMember(first, "message");
    return absl::StrCat(TextMember(first, "code"), message.empty() ? "" : ": ", message);
  });
  return decoded.ok() ? *decoded : "";
}

}  // namespace crisp::image
