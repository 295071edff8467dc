// The OCI image spec v1.1 and Docker's image manifest v2 schema 2 as one set of plain structs
// (image-spec manifest.md, image-index.md, config.md). Codecs: oci/image_spec_codec.h. What is
// decoded has been bounded and checked; absent members are empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

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

// containerd reads at most about this much of a manifest, index or config too.
inline constexpr size_t kMaxDocumentBytes = 4 << 20;
// Docker never builds more. 127 lower directories named relative to the layer directory
// ("12345/fs:") fill 1.2 KiB of the one page of options that mount(2) takes; overlayfs itself stops
// at 500.
inline constexpr size_t kMaxLayers = 127;
inline constexpr size_t kMaxIndexEntries = 1024;
// Sums of kMaxLayers sizes cannot overflow.
inline constexpr int64_t kMaxLayerBytes = int64_t{1} << 40;

struct Platform {
  std::string os;
  std::string architecture;  // as GOARCH
  std::string variant;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  int64_t size = 0;  // bytes, 0..kMaxLayerBytes
  std::optional<Platform> platform;
};

// Between 1 and kMaxLayers layers, base layer first.
struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;
};

struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
};

// The image config: `config` member flattened with the members around it. Strings hold no NUL;
// user, working_dir, volumes and stop_signal hold no control characters either. Otherwise the
// values are the image author's: spec/ decides what they may do.
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
