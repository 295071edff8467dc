#include "oci/digest.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/printable.h"

namespace crisp::oci {

absl::StatusOr<Digest> Digest::Parse(absl::string_view text) {
  const size_t hex_size = absl::StartsWith(text, "sha256:")   ? 64
                          : absl::StartsWith(text, "sha512:") ? 128
                                                              : 0;
  const absl::string_view hex = text.substr(std::min(text.size(), kAlgorithmSize + 1));
  const bool lower_hex = std::all_of(hex.begin(), hex.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (hex_size == 0 || hex.size() != hex_size || !lower_hex) {
    return absl::InvalidArgumentError(
        absl::StrCat("digest \"", base::Printable(text, 80),
                     "\": must be sha256: or sha512: and lower-case hexadecimal digits"));
  }
  return Digest(std::string(text));
}

}  // namespace crisp::oci
