// The two small JSON documents that registries send besides content. Not trusted: checked and
// bounded here. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::image {

// The answer of a token server: `token` or `access_token`, printable ASCII without spaces.
absl::StatusOr<std::string> DecodeToken(absl::string_view text);

// The first entry of a registry's error body as "CODE: message", as the registry has it: of any
// length, with any character. Empty for any other body.
std::string DecodeRegistryError(absl::string_view text);

}  // namespace crisp::image
