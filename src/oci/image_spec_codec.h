// JSON text -> image spec structs. The text is hostile: kInvalidArgument names the member that is
// wrong. Sizes are the caller's to bound before (kMaxDocumentBytes); counts and depth are bounded
// here. Pure functions.
#pragma once

#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/image_spec.h"

namespace crisp::oci {

// A manifest or an index, told apart by the document's own mediaType, else by `media_type` (the
// Content-Type or the descriptor's), else by its members. Refused: a document that has the members
// of both or disagrees with `media_type` (CVE-2021-41190), schema 1, layers with `urls`, zero
// layers.
absl::StatusOr<std::variant<Manifest, Index>> DecodeManifestOrIndex(absl::string_view text,
                                                                    absl::string_view media_type);

absl::StatusOr<ImageConfig> DecodeImageConfig(absl::string_view text);

}  // namespace crisp::oci
