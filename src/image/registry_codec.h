// The two small JSON documents registries send beside content. Hostile text; pure functions.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::image {

// Token server's answer: `token` or `access_token`, visible ASCII only.
absl::StatusOr<std::string> DecodeToken(absl::string_view text);

// First entry of a registry's error body as "CODE: message", printable and short; empty when the
// body is something else.
std::string DecodeRegistryError(absl::string_view text);

}  // namespace crisp::image
