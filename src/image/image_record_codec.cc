#include "image/image_record_codec.h"

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "image/digests.h"
#include "oci/image_spec_codec.h"
#include "oci/reference.h"

namespace crisp::image {
namespace {

using base::Json;
constexpr int kVersion = 1;

absl::Status RequireReferences(const std::vector<std::string>& texts, bool digests) {
  for (const std::string& text : texts) {
    CRISP_ASSIGN_OR_RETURN(const oci::Reference reference, oci::Reference::Parse(text));
    if (reference.ToString() != text || reference.digest().empty() == digests) {
      return absl::InvalidArgumentError(
          absl::StrCat("reference \"", text, "\": is not in canonical form"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> DecodeRecord(const Json& record) {
  if (record.at("version") != kVersion)
    return absl::InvalidArgumentError("version is not supported");
  const Json& body = record.at("image");
  if (record.at("sha256").get<std::string>() != Sha256(base::DumpJson(body)).hex()) {
    return absl::InvalidArgumentError("checksum does not match");
  }
  Image image;
  CRISP_ASSIGN_OR_RETURN(image.id, oci::Digest::Parse(body.at("id").get<std::string>()));
  CRISP_ASSIGN_OR_RETURN(image.manifest_digest,
                         oci::Digest::Parse(body.at("manifest_digest").get<std::string>()));
  image.repo_tags = body.at("repo_tags").get<std::vector<std::string>>();
  image.repo_digests = body.at("repo_digests").get<std::vector<std::string>>();
  image.size = body.at("size").get<int64_t>();
  image.pinned = body.at("pinned").get<bool>();
  image.sequence = body.at("sequence").get<uint64_t>();
  image.config_json = body.at("config").get<std::string>();
  CRISP_RETURN_IF_ERROR(RequireReferences(image.repo_tags, /*digests=*/false));
  CRISP_RETURN_IF_ERROR(RequireReferences(image.repo_digests, /*digests=*/true));
  if (Sha256(image.config_json) != image.id) {
    return absl::InvalidArgumentError("the digest of config is not the id");
  }
  CRISP_RETURN_IF_ERROR(DeriveFromConfig(image));
  return image;
}

}  // namespace

std::string EncodeImageRecord(const Image& image) {
  const Json body = {
      {"id", image.id.str()},         {"manifest_digest", image.manifest_digest.str()},
      {"repo_tags", image.repo_tags}, {"repo_digests", image.repo_digests},
      {"size", image.size},           {"pinned", image.pinned},
      {"sequence", image.sequence},   {"config", image.config_json}};
  const std::string checksum(Sha256(base::DumpJson(body)).hex());
  return base::DumpJson({{"version", kVersion}, {"sha256", checksum}, {"image", body}}, 1);
}

absl::StatusOr<Image> DecodeImageRecord(absl::string_view text) {
  auto decoded = base::DecodeJson("image record", text, DecodeRecord);
  if (!decoded.ok()) return decoded.status();
  return *std::move(decoded);
}

const std::string& EmptyLayer() {
  static const auto& tar = *new std::string(1024, '\0');
  return tar;
}

absl::Status DeriveFromConfig(Image& image) {
  CRISP_ASSIGN_OR_RETURN(image.config, oci::DecodeImageConfig(image.config_json));
  for (const oci::Digest& diff_id : image.config.diff_ids) {
    if (diff_id.algorithm() != "sha256") {
      return absl::InvalidArgumentError("image config: rootfs.diff_ids: only sha256 is supported");
    }
  }
  std::vector<oci::Digest> diff_ids = image.config.diff_ids;
  if (diff_ids.empty()) diff_ids.push_back(Sha256(EmptyLayer()));
  const std::vector<oci::ChainId> chain_ids = ChainIds(diff_ids);
  image.layers.clear();
  for (size_t i = 0; i < chain_ids.size(); ++i) {
    image.layers.push_back({.diff_id = diff_ids[i], .chain_id = chain_ids[i]});
  }
  return absl::OkStatus();
}

}  // namespace crisp::image
