// The OCI image spec v1.1 and Docker's image manifest v2 schema 2 as one set of plain structs
// (image-spec manifest.md, image-index.md, config.md). Codec: oci/image_spec_codec.h, which checks
// and bounds what it decodes. Absent members are empty. Plain values, thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/digest.h"

namespace crisp::oci {

inline constexpr char kOciManifestType[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciIndexType[] = "application/vnd.oci.image.index.v1+json";
inline constexpr char kOciConfigType[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kDockerManifestType[] =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr char kDockerListType[] =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr char kDockerConfigType[] = "application/vnd.docker.container.image.v1+json";

// Of a manifest, index or config; containerd has about the same limit.
inline constexpr size_t kMaxDocumentBytes = 4 << 20;
// The limit of overlayfs. (Docker builds images of at most 127.)
inline constexpr size_t kMaxLayers = 500;
inline constexpr size_t kMaxIndexEntries = 1024;
// Small enough that a sum of kMaxLayers sizes cannot overflow.
inline constexpr int64_t kMaxLayerBytes = int64_t{1} << 40;

struct Platform {
  std::string os;
  std::string architecture;  // as GOARCH
  std::string variant;
};

struct Descriptor {
  std::string media_type;  // as its author wrote it
  Digest digest;
  int64_t size = 0;  // bytes, 1..kMaxLayerBytes; 0: not stated
};

// At most kMaxLayers layers, base layer first; none if the image has nothing but its config.
struct Manifest {
  std::string media_type;
  std::string artifact_type;  // of something else than an image; not checked
  Descriptor config;
  std::vector<Descriptor> layers;
};

// One of the images of an index, or another index.
struct IndexEntry {
  std::optional<Platform> platform;  // absent, too, if it names neither system nor architecture
  absl::StatusOr<Descriptor> manifest;
};

// An entry that cannot be an image is left out if it names no platform: whatever an index also has
// (signatures, types of the future) must not keep its images from being used. One with a platform
// is kept with its error: on a node of that platform, another image would run in its place. Left
// out are also entries whose platform cannot be read.
struct Index {
  std::string media_type;
  std::vector<IndexEntry> manifests;
};

// The image config: the members of `config` and those beside it. Those that reach a process or a
// file contain no NUL; user, working_dir and volumes contain no control characters either.
// Everything else is as the image's author wrote it, and spec/ checks it.
struct ImageConfig {
  std::string created;  // RFC 3339, not checked
  Platform platform;
  std::string user;
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::vector<std::string> volumes;  // sorted
  std::string stop_signal;
  std::map<std::string, std::string> labels;
  std::vector<Digest> diff_ids;  // base layer first
};

}  // namespace crisp::oci
