// The record of an unpacked layer, stored with it as layers/<n>/record.json. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "snapshot/snapshot_store.h"

namespace crisp::snapshot {

struct LayerRecord {
  LayerInfo info;
  bool opaque_root = false;  // hides all layers below; overlayfs ignores the attribute at the root
};

// "sha256:" and 64 lower-case hexadecimal digits.
bool IsDigest(absl::string_view text);

std::string EncodeLayerRecord(const LayerRecord& record);
// kInvalidArgument for anything but a record of this version. Only the form of digests is checked.
absl::StatusOr<LayerRecord> DecodeLayerRecord(absl::string_view text);

}  // namespace crisp::snapshot
