// <root>/images/<id hex>.json:
//   {"version":1,"sha256":"<of the dumped image member>","image":{"config":"<exact bytes>", ...}}
// Layers and the decoded config are derived from `config` and not stored. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "image/image_store.h"

namespace crisp::image {

std::string EncodeImageRecord(const Image& image);
// kInvalidArgument when the text was changed since EncodeImageRecord (the checksum does not match).
absl::StatusOr<Image> DecodeImageRecord(absl::string_view text);

// The tar of a layer that has nothing. It is the only layer of an image that has none, so that such
// an image can be run, mounted and removed like others.
const std::string& EmptyLayer();

// Fills config and layers from config_json; kInvalidArgument when that is not an image config or
// has diff ids other than sha256.
absl::Status DeriveFromConfig(Image& image);

}  // namespace crisp::image
