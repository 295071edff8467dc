#include "image/artifact.h"

#include <atomic>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "image/memory_sink.h"
#include "image/pull_error.h"
#include "image/registry.h"
#include "image/registry_hosts.h"
#include "oci/image_spec_codec.h"

namespace crisp::image {
namespace {

constexpr char kEmptyConfigType[] = "application/vnd.oci.empty.v1+json";

absl::Status Refuse(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("the artifact ", why));
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", base::Printable(text, 200), "\"");
}

absl::Status CheckManifest(const oci::Manifest& manifest, const ArtifactRequest& request) {
  const bool empty = manifest.config.media_type == kEmptyConfigType;
  const std::string& type = empty ? manifest.artifact_type : manifest.config.media_type;
  // Others may go by either of the two.
  if (!empty && !manifest.artifact_type.empty() && manifest.artifact_type != type) {
    return Refuse(absl::StrCat("has the type ", Quoted(type), " in its config and ",
                               Quoted(manifest.artifact_type), " as artifactType"));
  }
  if (type != request.type)
    return Refuse(absl::StrCat("has the type ", Quoted(type), ", not \"", request.type, "\""));
  if (manifest.layers.size() != 1)
    return Refuse(absl::StrCat("has ", manifest.layers.size(), " layers, not one"));
  const int64_t size = manifest.layers[0].size;
  if (size == 0) return Refuse("does not say the size of its layer");
  if (size > static_cast<int64_t>(request.max_bytes))
    return Refuse(absl::StrCat("has ", size, " bytes, at most ", request.max_bytes));
  return absl::OkStatus();
}

// kInvalidArgument only for what is wrong with the artifact itself.
absl::Status OfTheNode(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? absl::FailedPreconditionError(status.message()) : status;
}

absl::StatusOr<std::string> Fetch(const ArtifactRequest& request, const PullOptions& options,
                                  const base::Call& call) {
  auto hosts = RegistryHosts(request.reference.host(), options.registry_config_dirs);
  if (!hosts.ok()) return OfTheNode(hosts.status());
  Registry registry(request.reference, request.credentials, *std::move(hosts), options);
  const absl::StatusOr<Registry::Document> document = registry.FetchManifest(call);
  if (!document.ok()) return OfTheNode(document.status());
  CRISP_ASSIGN_OR_RETURN(const auto decoded,
                         oci::DecodeManifestOrIndex(document->bytes, document->media_type));
  const auto* manifest = std::get_if<oci::Manifest>(&decoded);
  if (manifest == nullptr) return Refuse("is an index of others");
  CRISP_RETURN_IF_ERROR(CheckManifest(*manifest, request));
  std::string bytes;
  const auto make_sink = [&]() -> absl::StatusOr<std::unique_ptr<LayerSink>> {
    return std::make_unique<MemorySink>(bytes, request.max_bytes);
  };
  std::atomic<int64_t> bytes_done = 0;
  const absl::Status fetched =
      registry.FetchBlob(manifest->layers[0], make_sink, bytes_done, call).status();
  if (!fetched.ok()) return OfTheNode(fetched);
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> FetchArtifact(const ArtifactRequest& request,
                                          const PullOptions& options, const base::Call& call) {
  absl::Status status = call.Check();
  if (status.ok()) {
    absl::StatusOr<std::string> document = Fetch(request, options, call);
    if (document.ok()) return document;
    status = document.status();
  }
  return PullError(status, request.reference);
}

}  // namespace crisp::image
