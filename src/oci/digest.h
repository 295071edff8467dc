// A content digest as the OCI image spec writes it: "sha256:<64 hex>" or "sha512:<128 hex>"
// (image-spec descriptor.md, "Digests"). A strong type: a Digest that is not empty is well formed,
// so it may be part of a file name or a URL. digest/ computes digests. Immutable value;
// thread-compatible.
#pragma once

#include <compare>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::oci {

class Digest {
 public:
  // Empty: no digest.
  Digest() = default;

  // kInvalidArgument unless `text` is "sha256:" or "sha512:" and lower-case hex digits of that
  // algorithm's length.
  static absl::StatusOr<Digest> Parse(absl::string_view text);

  bool empty() const { return text_.empty(); }
  const std::string& str() const { return text_; }
  // "sha256" or "sha512".
  absl::string_view algorithm() const { return absl::string_view(text_).substr(0, kAlgorithmSize); }
  absl::string_view hex() const {
    return empty() ? absl::string_view() : absl::string_view(text_).substr(kAlgorithmSize + 1);
  }

  friend auto operator<=>(const Digest&, const Digest&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Digest& digest) {
    return H::combine(std::move(state), digest.text_);
  }

 private:
  static constexpr size_t kAlgorithmSize = 6;
  explicit Digest(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

}  // namespace crisp::oci
