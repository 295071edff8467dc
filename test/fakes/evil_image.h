// OCI images made of strings, served by an EvilRegistry.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "fakes/evil_registry.h"
#include "oci/digest.h"

namespace crisp::image {

struct TestImage {
  std::vector<std::string> layers;
  std::string config;
  std::string manifest;
  std::string manifest_type;

  oci::Digest id() const;
  oci::Digest digest() const;
};

// Digest of the layer's tar: of what it contains when it is gzip or zstd, up to the first error.
oci::Digest DiffId(const std::string& layer);
// The media type that says how the layer is compressed.
std::string LayerType(absl::string_view layer);
// Descriptor JSON of `content`.
std::string DescriptorOf(const std::string& type, const std::string& content,
                         const std::string& more = "");
// An OCI image; `run` is the config's "config" member.
TestImage MakeImage(std::vector<std::string> layers, const std::string& run = "{}");
std::string MakeConfig(const std::vector<std::string>& layers, const std::string& run = "{}");
std::string MakeManifest(const std::string& config, const std::vector<std::string>& layers);

// The manifest of an artifact. Its layers say that they are tar, as tools write of any file; `more`
// are further members: R"(,"artifactType":"x")".
std::string MakeArtifactManifest(const std::string& config_type,
                                 const std::vector<std::string>& layers,
                                 const std::string& more = "");
// Serves a seccomp profile as an artifact; its reference, "<host>/<repository>@<digest>".
inline constexpr char kSeccompArtifactType[] =
    "application/vnd.cncf.seccomp-profile.config.v1+json";
std::string ServeSeccompProfile(EvilRegistry& registry, const std::string& document,
                                const std::string& repository = "repo");

// Serves manifest (by `object` and by digest), config and layers of the repository "repo".
void Serve(EvilRegistry& registry, const TestImage& image, const std::string& object = "v1",
           const std::string& repository = "repo");
void ServeManifest(EvilRegistry& registry, const std::string& object, const std::string& manifest,
                   const std::string& type, const std::string& repository = "repo");
void ServeBlob(EvilRegistry& registry, const std::string& content,
               const std::string& repository = "repo");
std::string BlobPath(const std::string& content, const std::string& repository = "repo");

}  // namespace crisp::image
