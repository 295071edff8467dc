// JSON text from a registry -> image spec structs. kInvalidArgument names the member that is wrong.
// The caller bounds the size of the text (kMaxDocumentBytes); counts and depth are bounded here.
// Pure, thread-safe.
#pragma once

#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/image_spec.h"

namespace crisp::oci {

// A manifest or an index: decided by the document's own mediaType, else by `media_type` (from the
// Content-Type or the descriptor), else by its members. Refused: a document with the members of
// both or of another type than `media_type` (CVE-2021-41190), schema 1, layers with `urls`.
absl::StatusOr<std::variant<Manifest, Index>> DecodeManifestOrIndex(absl::string_view text,
                                                                    absl::string_view media_type);

absl::StatusOr<ImageConfig> DecodeImageConfig(absl::string_view text);

}  // namespace crisp::oci
