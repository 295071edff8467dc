#include "fakes/evil_image.h"

#include <zlib.h>
#include <zstd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "digest/hasher.h"
#include "oci/image_spec.h"

namespace crisp::image {
namespace {

oci::Digest Sha256(const std::string& text) { return *oci::Digest::Parse(digest::Sha256(text)); }

bool IsGzip(absl::string_view blob) { return absl::StartsWith(blob, "\x1f\x8b"); }
bool IsZstd(absl::string_view blob) { return absl::StartsWith(blob, "\x28\xb5\x2f\xfd"); }

#if defined(__aarch64__)
constexpr char kArchitecture[] = "arm64";
#else
constexpr char kArchitecture[] = "amd64";
#endif

constexpr size_t kChunk = 1 << 20;

// Hashes what the members of a gzip blob contain, up to the first error.
void HashGzip(absl::string_view blob, digest::Hasher& hasher) {
  std::string out(kChunk, '\0');
  z_stream stream = {};
  inflateInit2(&stream, 15 + 16);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(blob.data()));
  stream.avail_in = static_cast<uInt>(blob.size());
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = kChunk;
    result = inflate(&stream, Z_NO_FLUSH);
    hasher.Update({out.data(), kChunk - stream.avail_out});
    if (result == Z_STREAM_END && stream.avail_in > 0) result = inflateReset(&stream);
  }
  inflateEnd(&stream);
}

// The same for the frames of a zstd blob.
void HashZstd(absl::string_view blob, digest::Hasher& hasher) {
  std::string out(kChunk, '\0');
  ZSTD_DStream* stream = ZSTD_createDStream();
  ZSTD_inBuffer in = {blob.data(), blob.size(), 0};
  bool more = true;
  while (more) {
    ZSTD_outBuffer to = {out.data(), kChunk, 0};
    const size_t result = ZSTD_decompressStream(stream, &to, &in);
    hasher.Update({out.data(), to.pos});
    more = ZSTD_isError(result) == 0 && (in.pos < in.size || to.pos == kChunk);
  }
  ZSTD_freeDStream(stream);
}

}  // namespace

oci::Digest DiffId(const std::string& layer) {
  if (!IsGzip(layer) && !IsZstd(layer)) return Sha256(layer);
  digest::Hasher hasher;
  IsGzip(layer) ? HashGzip(layer, hasher) : HashZstd(layer, hasher);
  return *oci::Digest::Parse(hasher.Finish());
}

std::string LayerType(absl::string_view layer) {
  return absl::StrCat("application/vnd.oci.image.layer.v1.tar", IsGzip(layer)   ? "+gzip"
                                                                : IsZstd(layer) ? "+zstd"
                                                                                : "");
}

oci::Digest TestImage::id() const { return Sha256(config); }
oci::Digest TestImage::digest() const { return Sha256(manifest); }

std::string DescriptorOf(const std::string& type, const std::string& content,
                         const std::string& more) {
  return absl::StrCat(R"({"mediaType":")", type, R"(","digest":")", Sha256(content).str(),
                      R"(","size":)", content.size(), more, "}");
}

std::string MakeConfig(const std::vector<std::string>& layers, const std::string& run) {
  std::vector<std::string> diff_ids;
  for (const std::string& layer : layers) diff_ids.push_back("\"" + DiffId(layer).str() + "\"");
  return absl::StrCat(R"({"architecture":")", kArchitecture, R"(","os":"linux","config":)", run,
                      R"(,"rootfs":{"type":"layers","diff_ids":[)", absl::StrJoin(diff_ids, ","),
                      "]}}");
}

std::string MakeManifest(const std::string& config, const std::vector<std::string>& layers) {
  std::vector<std::string> descriptors;
  for (const std::string& layer : layers)
    descriptors.push_back(DescriptorOf(LayerType(layer), layer));
  return absl::StrCat(R"({"schemaVersion":2,"config":)", DescriptorOf(oci::kOciConfigType, config),
                      R"(,"layers":[)", absl::StrJoin(descriptors, ","), "]}");
}

std::string MakeArtifactManifest(const std::string& config_type,
                                 const std::vector<std::string>& layers, const std::string& more) {
  std::vector<std::string> descriptors;
  for (const std::string& layer : layers) descriptors.push_back(DescriptorOf(LayerType(""), layer));
  return absl::StrCat(R"({"schemaVersion":2,"mediaType":")", oci::kOciManifestType,
                      R"(","config":)", DescriptorOf(config_type, "{}"), R"(,"layers":[)",
                      absl::StrJoin(descriptors, ","), "]", more, "}");
}

std::string ServeSeccompProfile(EvilRegistry& registry, const std::string& document,
                                const std::string& repository) {
  const std::string manifest = MakeArtifactManifest(kSeccompArtifactType, {document});
  ServeManifest(registry, "v1", manifest, oci::kOciManifestType, repository);
  ServeBlob(registry, document, repository);
  return absl::StrCat(registry.host(), "/", repository, "@", Sha256(manifest).str());
}

TestImage MakeImage(std::vector<std::string> layers, const std::string& run) {
  TestImage image;
  image.config = MakeConfig(layers, run);
  image.manifest = MakeManifest(image.config, layers);
  image.manifest_type = oci::kOciManifestType;
  image.layers = std::move(layers);
  return image;
}

void ServeManifest(EvilRegistry& registry, const std::string& object, const std::string& manifest,
                   const std::string& type, const std::string& repository) {
  EvilReply reply;
  reply.body = manifest;
  reply.headers = {"Content-Type: " + type, "Docker-Content-Digest: " + Sha256(manifest).str()};
  for (const std::string& name : {object, Sha256(manifest).str()}) {
    registry.Serve(absl::StrCat("/v2/", repository, "/manifests/", name), reply);
  }
}

std::string BlobPath(const std::string& content, const std::string& repository) {
  return absl::StrCat("/v2/", repository, "/blobs/", Sha256(content).str());
}

void ServeBlob(EvilRegistry& registry, const std::string& content, const std::string& repository) {
  EvilReply reply;
  reply.body = content;
  registry.Serve(BlobPath(content, repository), reply);
}

void Serve(EvilRegistry& registry, const TestImage& image, const std::string& object,
           const std::string& repository) {
  ServeManifest(registry, object, image.manifest, image.manifest_type, repository);
  ServeBlob(registry, image.config, repository);
  for (const std::string& layer : image.layers) ServeBlob(registry, layer, repository);
}

}  // namespace crisp::image
