// JSON documents from a registry. The first byte selects the kind and the content type.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "image/registry_codec.h"
#include "oci/image_spec_codec.h"

namespace oci = crisp::oci;

namespace {

void MustBeBounded(const oci::Descriptor& descriptor) {
  if (descriptor.digest.empty() || descriptor.size < 0 || descriptor.size > oci::kMaxLayerBytes) {
    __builtin_trap();
  }
}

void MustHoldNoNul(const std::string& text) {
  if (strlen(text.c_str()) != text.size()) __builtin_trap();
}

void CheckManifest(absl::string_view text, absl::string_view media_type) {
  const auto document = oci::DecodeManifestOrIndex(text, media_type);
  if (!document.ok()) return;
  if (const auto* manifest = std::get_if<oci::Manifest>(&*document)) {
    if (manifest->layers.size() > oci::kMaxLayers) __builtin_trap();
    MustBeBounded(manifest->config);
    for (const oci::Descriptor& layer : manifest->layers) MustBeBounded(layer);
  } else {
    const auto& index = std::get<oci::Index>(*document);
    if (index.manifests.size() > oci::kMaxIndexEntries) __builtin_trap();
    for (const oci::IndexEntry& entry : index.manifests)
      if (entry.manifest.ok()) MustBeBounded(*entry.manifest);
  }
}

void CheckConfig(absl::string_view text) {
  const absl::StatusOr<oci::ImageConfig> config = oci::DecodeImageConfig(text);
  if (!config.ok()) return;
  if (config->diff_ids.size() > oci::kMaxLayers) __builtin_trap();
  MustHoldNoNul(config->user);
  MustHoldNoNul(config->working_dir);
  for (const auto* list : {&config->env, &config->entrypoint, &config->cmd, &config->volumes}) {
    for (const std::string& text_of : *list) MustHoldNoNul(text_of);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'c':
      CheckConfig(text);
      break;
    case 'e':
      crisp::image::DecodeRegistryError(text);
      break;
    case 't':
      crisp::image::DecodeToken(text).IgnoreError();
      break;
    case 'i':
      CheckManifest(text, oci::kOciIndexType);
      break;
    case 'm':
      CheckManifest(text, oci::kOciManifestType);
      break;
    case 'd':
      CheckManifest(text, oci::kDockerManifestType);
      break;
    default:
      CheckManifest(text, "");
  }
  return 0;
}
