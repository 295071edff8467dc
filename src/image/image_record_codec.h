// <root>/images/<id hex>.json:
//   {"version":1,"sha256":"<of the dumped image member>","image":{"config":"<exact bytes>", ...}}
// Layers and the decoded config follow from `config` and are not stored. Pure functions.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "image/image_store.h"

namespace crisp::image {

std::string EncodeImageRecord(const Image& image);
// kInvalidArgument when a bit of it is not as EncodeImageRecord wrote it.
absl::StatusOr<Image> DecodeImageRecord(absl::string_view text);

// Fills config and layers from config_json; kInvalidArgument when that is not a config of layers
// we can name.
absl::Status DeriveFromConfig(Image& image);

}  // namespace crisp::image
