#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/json.h"
#include "snapshot/layer_record.h"

namespace crisp::snapshot {
namespace {

constexpr int kVersion = 1;

}  // namespace

bool IsDigest(absl::string_view text) {
  constexpr size_t kHexDigits = 64;
  if (!absl::ConsumePrefix(&text, "sha256:") || text.size() != kHexDigits) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); });
}

std::string EncodeLayerRecord(const LayerRecord& record) {
  const base::Json json = {
      {"version", kVersion},
      {"chain_id", record.info.chain_id.str()},
      {"parent", record.info.parent.str()},
      {"diff_id", record.info.diff_id},
      {"bytes", record.info.usage.bytes},
      {"inodes", record.info.usage.inodes},
      {"opaque_root", record.opaque_root},
  };
  return absl::StrCat(base::DumpJson(json, 2), "\n");
}

absl::StatusOr<LayerRecord> DecodeLayerRecord(absl::string_view text) {
  auto record = base::DecodeJson("layer record", text, [](const base::Json& json) {
    LayerRecord decoded;
    if (json.at("version").get<int>() != kVersion)
      return decoded;  // refused below, as it has no digests
    decoded.info.chain_id = oci::ChainId(json.at("chain_id"));
    decoded.info.parent = oci::ChainId(json.at("parent"));
    decoded.info.diff_id = json.at("diff_id").get<std::string>();
    decoded.info.usage.bytes = json.at("bytes").get<uint64_t>();
    decoded.info.usage.inodes = json.at("inodes").get<uint64_t>();
    decoded.opaque_root = json.at("opaque_root").get<bool>();
    return decoded;
  });
  if (!record.ok()) return record;
  const LayerInfo& info = record->info;
  const bool parent_ok = info.parent.empty() || IsDigest(info.parent.str());
  if (!IsDigest(info.chain_id.str()) || !IsDigest(info.diff_id) || !parent_ok) {
    return absl::InvalidArgumentError("layer record: unsupported version or malformed digest");
  }
  return record;
}

}  // namespace crisp::snapshot
