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
// both or of another type than `media_type` (CVE-2021-41190), and schema 1. An unknown `media_type`
// is ignored: registries and file servers send many for images. A document whose own mediaType is
// unknown is refused: it is something else than an image. `urls` are ignored: content comes from
// the registry, so that a manifest cannot make a node ask other addresses.
absl::StatusOr<std::variant<Manifest, Index>> DecodeManifestOrIndex(absl::string_view text,
                                                                    absl::string_view media_type);

// The layers of `manifest` that are file systems, of which the config has `diff_ids` (a number). As
// many: then all are, whatever their types say, as builders have written many and the bytes decide.
// More: then those are left out whose type is not a layer's, as by containerd. kInvalidArgument for
// another number, and for encrypted layers.
absl::StatusOr<std::vector<Descriptor>> FileSystemLayers(const Manifest& manifest, size_t diff_ids);

absl::StatusOr<ImageConfig> DecodeImageConfig(absl::string_view text);

}  // namespace crisp::oci
