#include "oci/image_spec_codec.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/status_macros.h"

namespace crisp::oci {
namespace {

using base::Json;

// Compressed or not, distributable or not.
constexpr const char* kLayerTypes[] = {"application/vnd.oci.image.layer.",
                                       "application/vnd.docker.image.rootfs."};

absl::Status Invalid(absl::string_view member, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(member, ": ", why));
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", base::Printable(text, 120), "\"");
}

// The parser's message may quote the whole document.
absl::Status Shorten(const absl::Status& status) {
  constexpr size_t kMaxMessage = 300;
  return absl::Status(status.code(), base::Printable(status.message(), kMaxMessage));
}

// nullptr when absent. A name counts in upper and lower case, as for Go's decoder, which builders
// and other runtimes use. Of two that differ only in that (or not at all: ParseJson), each reader
// may take another.
const Json* Find(const Json& object, absl::string_view name) {
  const Json* found = nullptr;
  for (const auto& [key, value] : object.items()) {
    if (!absl::EqualsIgnoreCase(key, name)) continue;
    if (found != nullptr)
      throw Json::other_error::create(501, absl::StrCat(name, " is given twice"), &object);
    found = &value;
  }
  return found;
}

// nullptr when absent or null: Docker writes null for empty members.
const Json* Member(const Json& object, absl::string_view name) {
  const Json* found = Find(object, name);
  return found == nullptr || found->is_null() ? nullptr : found;
}

std::string StringMember(const Json& object, absl::string_view name) {
  const Json* value = Member(object, name);
  return value == nullptr ? std::string() : value->get<std::string>();
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

absl::Status RequireNoControl(absl::string_view member, absl::string_view text) {
  if (HasControl(text))
    return Invalid(member, absl::StrCat(Quoted(text), " must not contain control characters"));
  return absl::OkStatus();
}

// Values may have several lines (scripts, certificates), but execve(2) cannot pass a NUL.
absl::Status RequireNoNul(absl::string_view member, absl::string_view text) {
  if (absl::StrContains(text, '\0'))
    return Invalid(member, absl::StrCat(Quoted(text), " must not contain NUL"));
  return absl::OkStatus();
}

absl::StatusOr<Platform> DecodePlatform(const Json& object) {
  Platform platform{.os = StringMember(object, "os"),
                    .architecture = StringMember(object, "architecture"),
                    .variant = StringMember(object, "variant")};
  CRISP_RETURN_IF_ERROR(RequireNoControl("os", platform.os));
  CRISP_RETURN_IF_ERROR(RequireNoControl("architecture", platform.architecture));
  CRISP_RETURN_IF_ERROR(RequireNoControl("variant", platform.variant));
  return platform;
}

absl::StatusOr<Descriptor> DecodeDescriptor(const Json& object) {
  Descriptor descriptor;
  descriptor.media_type = StringMember(object, "mediaType");
  CRISP_ASSIGN_OR_RETURN(descriptor.digest, Digest::Parse(StringMember(object, "digest")));
  // Not stated by some builders: absent, 0 or -1. The digest says which bytes are meant.
  const Json* size = Member(object, "size");
  if (size == nullptr) return descriptor;
  if (!size->is_number_integer()) return Invalid("size", "must be an integer");
  if (!size->is_number_unsigned() && size->get<int64_t>() == -1) return descriptor;
  // Compared as unsigned: a value above INT64_MAX must not become negative.
  if ((!size->is_number_unsigned() && size->get<int64_t>() < 0) ||
      size->get<uint64_t>() > static_cast<uint64_t>(kMaxLayerBytes)) {
    return Invalid("size",
                   absl::StrCat(base::DumpJson(*size), " must be between 0 and ", kMaxLayerBytes));
  }
  descriptor.size = size->get<int64_t>();
  return descriptor;
}

// nullptr when absent or null.
absl::StatusOr<const Json*> ListMember(const Json& document, const char* member, size_t max) {
  const Json* list = Member(document, member);
  if (list == nullptr) return list;
  if (!list->is_array()) return Invalid(member, "must be an array");
  if (list->size() > max) {
    return Invalid(member, absl::StrCat(list->size(), " entries, at most ", max));
  }
  return list;
}

absl::StatusOr<Manifest> DecodeManifest(const Json& document, std::string media_type) {
  Manifest manifest;
  manifest.media_type = std::move(media_type);
  const Json* type = Member(document, "artifactType");  // nothing of an image
  if (type != nullptr && type->is_string()) manifest.artifact_type = type->get<std::string>();
  const Json* of_config = Member(document, "config");
  if (of_config == nullptr) return Invalid("config", "must be given");
  absl::StatusOr<Descriptor> config = DecodeDescriptor(*of_config);
  if (!config.ok()) return base::Prefix(config.status(), "config");
  manifest.config = *std::move(config);
  if (manifest.config.size > static_cast<int64_t>(kMaxDocumentBytes)) {
    return Invalid("config.size",
                   absl::StrCat(manifest.config.size, " bytes, at most ", kMaxDocumentBytes));
  }
  CRISP_ASSIGN_OR_RETURN(const Json* layers, ListMember(document, "layers", kMaxLayers));
  if (layers == nullptr) return manifest;
  for (const Json& layer : *layers) {
    absl::StatusOr<Descriptor> descriptor = DecodeDescriptor(layer);
    if (!descriptor.ok()) {
      return base::Prefix(descriptor.status(),
                          absl::StrCat("layers[", manifest.layers.size(), "]"));
    }
    manifest.layers.push_back(*std::move(descriptor));
  }
  return manifest;
}

enum class Kind { kUnknown, kManifest, kIndex, kSchema1, kOther };

Kind KindOf(absl::string_view media_type) {
  // Without parameters; upper and lower case are the same (RFC 6838).
  const std::string type =
      absl::AsciiStrToLower(absl::StripAsciiWhitespace(media_type.substr(0, media_type.find(';'))));
  if (type == kOciManifestType || type == kDockerManifestType) return Kind::kManifest;
  if (type == kOciIndexType || type == kDockerListType) return Kind::kIndex;
  if (absl::StartsWith(type, "application/vnd.docker.distribution.manifest.v1+")) {
    return Kind::kSchema1;
  }
  // Generic types that simple registries use for everything.
  if (type.empty() || type == "application/json" || type == "application/octet-stream" ||
      type == "text/plain") {
    return Kind::kUnknown;
  }
  return Kind::kOther;
}

absl::StatusOr<std::optional<Platform>> EntryPlatform(const Json& entry) {
  try {
    const Json* object = Member(entry, "platform");
    if (object == nullptr) return std::nullopt;
    CRISP_ASSIGN_OR_RETURN(Platform platform, DecodePlatform(*object));
    if (platform.os.empty() && platform.architecture.empty()) return std::nullopt;
    return platform;
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(base::JsonErrorWords(error));
  }
}

absl::StatusOr<Descriptor> EntryManifest(const Json& entry) {
  try {
    CRISP_ASSIGN_OR_RETURN(Descriptor descriptor, DecodeDescriptor(entry));
    const Kind kind = KindOf(descriptor.media_type);
    if (kind == Kind::kOther || kind == Kind::kSchema1)
      return Invalid("mediaType",
                     absl::StrCat(Quoted(descriptor.media_type), " is not an image manifest"));
    return descriptor;
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(base::JsonErrorWords(error));
  }
}

absl::StatusOr<Index> DecodeIndex(const Json& document, std::string media_type) {
  Index index;
  index.media_type = std::move(media_type);
  CRISP_ASSIGN_OR_RETURN(const Json* entries, ListMember(document, "manifests", kMaxIndexEntries));
  if (entries == nullptr) return index;
  for (size_t i = 0; i < entries->size(); ++i) {
    const auto platform = EntryPlatform((*entries)[i]);
    if (!platform.ok()) continue;  // no node has it
    IndexEntry entry = {*platform, EntryManifest((*entries)[i])};
    if (!entry.manifest.ok()) {
      if (!entry.platform.has_value()) continue;
      entry.manifest =
          Shorten(base::Prefix(entry.manifest.status(), absl::StrCat("manifests[", i, "]")));
    }
    index.manifests.push_back(std::move(entry));
  }
  return index;
}

bool IsLayerType(absl::string_view media_type) {
  return std::any_of(std::begin(kLayerTypes), std::end(kLayerTypes), [&](absl::string_view type) {
    return absl::StartsWithIgnoreCase(media_type, type);
  });
}

absl::StatusOr<Kind> KindOfDocument(const Json& document, absl::string_view own_type,
                                    absl::string_view media_type) {
  const Kind own = KindOf(own_type);
  Kind told = KindOf(media_type);
  if (told == Kind::kOther) told = Kind::kUnknown;
  // The number of its schemaVersion is not what makes it one: other runtimes do not look at it.
  if (Find(document, "fsLayers") != nullptr || own == Kind::kSchema1) {
    return Invalid("schemaVersion", "image manifests of schema 1 are not supported");
  }
  if (told == Kind::kSchema1) told = Kind::kUnknown;  // of a server that says so of every manifest
  if (own == Kind::kOther) {
    return Invalid("mediaType", absl::StrCat(Quoted(own_type), " is not an image manifest"));
  }
  if (own != Kind::kUnknown && told != Kind::kUnknown && own != told) {
    return Invalid("mediaType", absl::StrCat(Quoted(own_type), " differs from the content type ",
                                             Quoted(media_type)));
  }
  const bool has_layers =
      Find(document, "layers") != nullptr || Find(document, "config") != nullptr;
  const bool has_manifests = Find(document, "manifests") != nullptr;
  if (has_layers && has_manifests) {
    return Invalid("manifests", "must not be given together with layers or config");
  }
  const Kind shape = has_manifests ? Kind::kIndex : Kind::kManifest;
  const Kind said = own != Kind::kUnknown ? own : told;
  if (said != Kind::kUnknown && said != shape) {
    return Invalid("mediaType", absl::StrCat(Quoted(own_type.empty() ? media_type : own_type),
                                             " does not match the members of the document"));
  }
  return shape;
}

using ManifestOrIndex = std::variant<Manifest, Index>;

absl::StatusOr<ManifestOrIndex> DecodeDocument(const Json& document, absl::string_view media_type) {
  if (!document.is_object()) return Invalid("document", "must be an object");
  const std::string own_type = StringMember(document, "mediaType");
  CRISP_ASSIGN_OR_RETURN(const Kind kind, KindOfDocument(document, own_type, media_type));
  std::string type(own_type.empty() ? std::string(media_type) : own_type);
  if (kind == Kind::kManifest) {
    CRISP_ASSIGN_OR_RETURN(Manifest manifest, DecodeManifest(document, std::move(type)));
    return manifest;
  }
  CRISP_ASSIGN_OR_RETURN(Index index, DecodeIndex(document, std::move(type)));
  return index;
}

absl::StatusOr<std::vector<std::string>> StringList(const Json& object, const char* member) {
  std::vector<std::string> list;
  const Json* value = Member(object, member);
  if (value == nullptr) return list;
  if (!value->is_array()) return Invalid(member, "must be an array");
  for (const Json& entry : *value) {
    list.push_back(entry.is_null() ? "" : entry.get<std::string>());  // as for Go
    CRISP_RETURN_IF_ERROR(RequireNoNul(member, list.back()));
  }
  return list;
}

// Docker takes a single word in place of a list for these.
absl::StatusOr<std::vector<std::string>> Words(const Json& object, const char* member) {
  const Json* value = Member(object, member);
  if (value == nullptr || !value->is_string()) return StringList(object, member);
  const std::string word = value->get<std::string>();
  CRISP_RETURN_IF_ERROR(RequireNoNul(member, word));
  return std::vector<std::string>{word};
}

absl::Status DecodeRunConfig(const Json& run, ImageConfig& config) {
  config.user = StringMember(run, "User");
  config.working_dir = StringMember(run, "WorkingDir");
  config.stop_signal = StringMember(run, "StopSignal");
  CRISP_RETURN_IF_ERROR(RequireNoControl("User", config.user));
  CRISP_RETURN_IF_ERROR(RequireNoControl("WorkingDir", config.working_dir));
  CRISP_ASSIGN_OR_RETURN(config.env, StringList(run, "Env"));
  CRISP_ASSIGN_OR_RETURN(config.entrypoint, Words(run, "Entrypoint"));
  CRISP_ASSIGN_OR_RETURN(config.cmd, Words(run, "Cmd"));
  if (const Json* volumes = Member(run, "Volumes"); volumes != nullptr) {
    if (!volumes->is_object()) return Invalid("Volumes", "must be an object");
    for (const auto& entry : volumes->items()) {
      CRISP_RETURN_IF_ERROR(RequireNoControl("Volumes", entry.key()));
      config.volumes.push_back(entry.key());
    }
  }
  if (const Json* labels = Member(run, "Labels"); labels != nullptr) {
    if (!labels->is_object()) return Invalid("Labels", "must be an object");
    for (const auto& entry : labels->items()) {
      const std::string value = entry.value().is_null() ? "" : entry.value().get<std::string>();
      CRISP_RETURN_IF_ERROR(RequireNoNul("Labels", entry.key()));
      CRISP_RETURN_IF_ERROR(RequireNoNul("Labels", value));
      config.labels.emplace(entry.key(), value);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ImageConfig> DecodeConfig(const Json& document) {
  if (!document.is_object()) return Invalid("document", "must be an object");
  ImageConfig config;
  config.created = StringMember(document, "created");
  CRISP_ASSIGN_OR_RETURN(config.platform, DecodePlatform(document));
  if (const Json* run = Member(document, "config"); run != nullptr) {
    if (!run->is_object()) return Invalid("config", "must be an object");
    CRISP_RETURN_IF_ERROR(base::Prefix(DecodeRunConfig(*run, config), "config"));
  }
  const Json* rootfs = Member(document, "rootfs");
  if (rootfs == nullptr || !rootfs->is_object()) {
    return Invalid("rootfs", "must be an object; charts, signatures and other artifacts have none");
  }
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> diff_ids, StringList(*rootfs, "diff_ids"));
  if (diff_ids.size() > kMaxLayers) {
    return Invalid("rootfs.diff_ids",
                   absl::StrCat(diff_ids.size(), " entries, at most ", kMaxLayers));
  }
  for (const std::string& diff_id : diff_ids) {
    absl::StatusOr<Digest> digest = Digest::Parse(diff_id);
    if (!digest.ok()) return base::Prefix(digest.status(), "rootfs.diff_ids");
    config.diff_ids.push_back(*std::move(digest));
  }
  return config;
}

}  // namespace

absl::StatusOr<ManifestOrIndex> DecodeManifestOrIndex(absl::string_view text,
                                                      absl::string_view media_type) {
  const auto decode = [media_type](const Json& document) {
    return DecodeDocument(document, media_type);
  };
  auto decoded = base::DecodeJson("image manifest", text, decode, base::SameNames::kRefused);
  if (!decoded.ok()) return Shorten(decoded.status());
  if (!decoded->ok()) return base::Prefix(decoded->status(), "image manifest");
  return *std::move(*decoded);
}

absl::StatusOr<std::vector<Descriptor>> FileSystemLayers(const Manifest& manifest,
                                                         size_t diff_ids) {
  std::vector<Descriptor> layers = manifest.layers;
  if (layers.size() > diff_ids)
    std::erase_if(layers, [](const Descriptor& layer) { return !IsLayerType(layer.media_type); });
  if (layers.size() != diff_ids) {
    return absl::InvalidArgumentError(absl::StrCat("image config: ", diff_ids, " diff ids for ",
                                                   manifest.layers.size(), " layers"));
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!absl::EndsWith(layers[i].media_type, "+encrypted")) continue;
    return Invalid(absl::StrCat("image manifest: layers[", i, "].mediaType"),
                   absl::StrCat(Quoted(layers[i].media_type), " is not supported"));
  }
  return layers;
}

absl::StatusOr<ImageConfig> DecodeImageConfig(absl::string_view text) {
  auto decoded = base::DecodeJson("image config", text, DecodeConfig, base::SameNames::kRefused);
  if (!decoded.ok()) return Shorten(decoded.status());
  if (!decoded->ok()) return base::Prefix(decoded->status(), "image config");
  return *std::move(*decoded);
}

}  // namespace crisp::oci
