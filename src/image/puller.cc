#include "image/puller.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/status_macros.h"
#include "base/thread.h"
#include "base/wait.h"
#include "image/digests.h"
#include "image/image_record_codec.h"
#include "image/layer_fetch.h"
#include "image/layer_leases.h"
#include "image/memory_sink.h"
#include "image/platform.h"
#include "image/pull_error.h"
#include "image/registry.h"
#include "image/registry_hosts.h"
#include "oci/image_spec_codec.h"

namespace crisp::image {

// One pull, shared by all callers that wait for it. Its thread holds a shared_ptr to it.
struct Puller::Flight {
  Flight(oci::Reference ref, Credentials creds)
      : reference(std::move(ref)), credentials(std::move(creds)) {}

  const oci::Reference reference;
  const Credentials credentials;
  base::Thread thread;  // joined by the puller after `done`
  // Guarded by Puller::mu_ (an annotation cannot name another object's lock).
  int waiters = 0;
  bool done = false;
  absl::StatusOr<ImagePtr> result = absl::UnknownError("pull not finished");
  base::Latch finished;   // follows `done`
  const base::Call call;  // cancelled when the last caller has gone

  // Guards the growth of `layers`, which happens once; the counters in it are atomic.
  mutable absl::Mutex progress_mu;
  std::deque<LayerCounter> layers;
};

namespace {

// The steps of one pull, without the sharing.
class Pull {
 public:
  Pull(const PullOptions& options, ImageStore& store, LayerTarget& target,
       const oci::Reference& reference, Registry& registry, base::Call call)
      : options_(options),
        store_(store),
        target_(target),
        reference_(reference),
        registry_(registry),
        call_(std::move(call)) {}

  // Makes the manifest's layers visible to observers; the counters stay valid during Run().
  using Announce = std::function<std::deque<LayerCounter>&(const oci::Manifest&)>;
  absl::StatusOr<ImagePtr> Run(const Announce& announce);

 private:
  // The present image, if the registry has the same for the reference and all layers are present;
  // else null.
  absl::StatusOr<ImagePtr> Unchanged();
  // Of the document or, if it is an index, of the best of its images that this node can run. False
  // when there is none. `platform_said`: an index names this node's platform for the document, or
  // the document is not from an index. Then the architecture in the image's config does not matter,
  // as with other runtimes: many builders leave it as it was in the base image, and the node may
  // have an emulator for it.
  absl::StatusOr<bool> Choose(const Registry::Document& document, const std::string& media_type,
                              int depth, bool platform_said, oci::Manifest& manifest, Image& image);
  absl::StatusOr<bool> ChooseFrom(const oci::Index& index, int depth, oci::Manifest& manifest,
                                  Image& image);
  absl::StatusOr<bool> ChooseEntry(const oci::IndexEntry& entry, int depth, oci::Manifest& manifest,
                                   Image& image);
  absl::Status FetchConfig(const oci::Manifest& manifest, Image& image);
  // Of an image without layers.
  absl::Status MakeEmptyLayer(const Layer& layer);
  absl::StatusOr<ImagePtr> Publish(Image image);

  const PullOptions& options_;
  ImageStore& store_;
  LayerTarget& target_;
  const oci::Reference& reference_;
  Registry& registry_;
  const base::Call call_;
  int documents_ = 0;           // manifests and indexes that an index has led to
  std::string other_platform_;  // of an image that this node cannot run
};

absl::StatusOr<ImagePtr> Pull::Unchanged() {
  const absl::StatusOr<ImagePtr> known = store_.Find(reference_.ToString());
  if (!known.ok()) return ImagePtr();
  const absl::StatusOr<oci::Digest> digest = registry_.Resolve(call_);
  CRISP_RETURN_IF_ERROR(call_.Check());
  // A registry may refuse HEAD or not send the digest; then the manifest is fetched.
  if (!digest.ok() || digest->empty()) return ImagePtr();
  const std::string wanted = reference_.WithDigest(*digest).ToString();
  const std::vector<std::string>& digests = (*known)->repo_digests;
  if (std::find(digests.begin(), digests.end(), wanted) == digests.end()) return ImagePtr();
  // Held until the image is published, so that its layers are not removed before.
  std::vector<LayerLease> leases;
  for (const Layer& layer : (*known)->layers) {
    CRISP_ASSIGN_OR_RETURN(LayerLease lease, store_.leases().Acquire(layer.chain_id, call_));
    if (!target_.Has(layer.chain_id)) return ImagePtr();
    leases.push_back(std::move(lease));
  }
  // Published again with this reference, in case it was removed meanwhile.
  Image image = **known;
  image.repo_digests = {wanted};
  image.repo_tags.clear();
  if (!reference_.tag().empty()) image.repo_tags = {reference_.ToString()};
  return Publish(std::move(image));
}

absl::StatusOr<bool> Pull::Choose(const Registry::Document& document, const std::string& media_type,
                                  int depth, bool platform_said, oci::Manifest& manifest,
                                  Image& image) {
  CRISP_ASSIGN_OR_RETURN(auto decoded, oci::DecodeManifestOrIndex(document.bytes, media_type));
  if (const auto* index = std::get_if<oci::Index>(&decoded)) {
    return ChooseFrom(*index, depth, manifest, image);
  }
  manifest = std::get<oci::Manifest>(std::move(decoded));
  image.manifest_digest = document.digest;
  image.size = static_cast<int64_t>(document.bytes.size());
  base::Failpoint("pull: manifest fetched");
  CRISP_RETURN_IF_ERROR(FetchConfig(manifest, image));
  const oci::Platform& platform = image.config.platform;
  if (!(platform_said ? IsLinux(platform) : CanRun(platform, HostPlatform()))) {
    other_platform_ = absl::StrCat(platform.os, "/", platform.architecture);
    return false;
  }
  CRISP_ASSIGN_OR_RETURN(manifest.layers,
                         oci::FileSystemLayers(manifest, image.config.diff_ids.size()));
  for (const oci::Descriptor& layer : manifest.layers) image.size += layer.size;
  return true;
}

absl::StatusOr<bool> Pull::ChooseEntry(const oci::IndexEntry& entry, int depth,
                                       oci::Manifest& manifest, Image& image) {
  CRISP_RETURN_IF_ERROR(base::Prefix(entry.manifest.status(), "image manifest"));
  CRISP_ASSIGN_OR_RETURN(const Registry::Document document,
                         registry_.FetchManifest(*entry.manifest, call_));
  return Choose(document, entry.manifest->media_type, depth + 1, entry.platform.has_value(),
                manifest, image);
}

absl::StatusOr<bool> Pull::ChooseFrom(const oci::Index& index, int depth, oci::Manifest& manifest,
                                      Image& image) {
  constexpr int kMaxDepth = 4;
  constexpr int kMaxDocuments = 32;
  if (depth == kMaxDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("image indexes are nested more than ", kMaxDepth, " deep"));
  }
  absl::Status failure;
  for (const oci::IndexEntry& entry : RunnableManifests(index, HostPlatform())) {
    if (++documents_ > kMaxDocuments) {
      return absl::InvalidArgumentError(absl::StrCat("none of the first ", kMaxDocuments,
                                                     " manifests is an image for this node"));
    }
    const absl::StatusOr<bool> chosen = ChooseEntry(entry, depth, manifest, image);
    if (chosen.ok() && !*chosen) continue;
    // An entry without a platform may be something else than an image, and may not be there.
    const bool other =
        absl::IsInvalidArgument(chosen.status()) || absl::IsNotFound(chosen.status());
    if (!other || entry.platform.has_value()) return chosen;
    failure.Update(chosen.status());
  }
  CRISP_RETURN_IF_ERROR(failure);
  return false;
}

absl::Status Pull::FetchConfig(const oci::Manifest& manifest, Image& image) {
  image.id = manifest.config.digest;
  if (image.id.algorithm() != "sha256") {
    return absl::InvalidArgumentError("image manifest: config: only sha256 is supported");
  }
  std::atomic<int64_t> bytes_done = 0;
  const auto make_sink = [&]() -> absl::StatusOr<std::unique_ptr<LayerSink>> {
    return std::make_unique<MemorySink>(image.config_json, oci::kMaxDocumentBytes);
  };
  const absl::Status fetched =
      registry_.FetchBlob(manifest.config, make_sink, bytes_done, call_).status();
  CRISP_RETURN_IF_ERROR(base::Prefix(fetched, "image config"));
  image.size += static_cast<int64_t>(image.config_json.size());
  return DeriveFromConfig(image);
}

absl::Status Pull::MakeEmptyLayer(const Layer& layer) {
  if (target_.Has(layer.chain_id)) return absl::OkStatus();
  const std::string& tar = EmptyLayer();
  LayerInfo info;
  info.compressed_size = static_cast<int64_t>(tar.size());
  info.diff_id = layer.diff_id;
  info.chain_id = layer.chain_id;
  CRISP_ASSIGN_OR_RETURN(const std::unique_ptr<LayerSink> sink, target_.Begin(info));
  CRISP_RETURN_IF_ERROR(sink->Write(tar));
  CRISP_RETURN_IF_ERROR(sink->Seal());
  return sink->Finish();
}

absl::StatusOr<ImagePtr> Pull::Publish(Image image) {
  CRISP_RETURN_IF_ERROR(call_.Check());
  return store_.Put(std::move(image));
}

absl::StatusOr<ImagePtr> Pull::Run(const Announce& announce) {
  CRISP_ASSIGN_OR_RETURN(ImagePtr unchanged, Unchanged());
  if (unchanged != nullptr) return unchanged;
  Image image;
  oci::Manifest manifest;
  CRISP_ASSIGN_OR_RETURN(const Registry::Document document, registry_.FetchManifest(call_));
  CRISP_ASSIGN_OR_RETURN(const bool chosen, Choose(document, document.media_type, 0,
                                                   /*platform_said=*/true, manifest, image));
  if (!chosen) {
    const oci::Platform host = HostPlatform();
    return absl::NotFoundError(
        absl::StrCat("no image for platform ", host.os, "/", host.architecture,
                     other_platform_.empty() ? "" : absl::StrCat(", but for ", other_platform_)));
  }
  image.repo_digests = {reference_.WithDigest(document.digest).ToString()};
  if (!reference_.tag().empty()) image.repo_tags = {reference_.ToString()};
  std::deque<LayerCounter>& counters = announce(manifest);
  base::Failpoint("pull: config fetched");
  std::vector<Layer> layers = image.layers;
  std::optional<LayerLease> empty;
  if (manifest.layers.empty()) {
    CRISP_ASSIGN_OR_RETURN(empty, store_.leases().Acquire(layers[0].chain_id, call_));
    CRISP_RETURN_IF_ERROR(MakeEmptyLayer(layers[0]));
    layers.clear();
  }
  // Holds leases until the image is published, so that its layers are not removed before.
  LayerFetch fetch(registry_, target_, store_.leases(), manifest, layers, counters);
  CRISP_RETURN_IF_ERROR(fetch.Run(options_.parallel_layers, call_));
  base::Failpoint("pull: layers fetched");
  // Of layers without a stated size, those that were not there before.
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    if (manifest.layers[i].size == 0) image.size += counters[i].done;
  }
  return Publish(std::move(image));
}

}  // namespace

Puller::Puller(PullOptions options, ImageStore& store, LayerTarget& target,
               std::function<void()> after_failure)
    : options_(std::move(options)),
      store_(store),
      target_(target),
      after_failure_(std::move(after_failure)) {}

Puller::~Puller() {
  std::list<std::shared_ptr<Flight>> flights;
  {
    absl::MutexLock lock(&mu_);
    flights.swap(flights_);
  }
  for (const std::shared_ptr<Flight>& flight : flights) flight->call.cancel->Cancel();
  for (const std::shared_ptr<Flight>& flight : flights) flight->thread.Join();
}

void Puller::Run(const std::shared_ptr<Flight>& flight) {
  const auto pull = [&]() -> absl::StatusOr<ImagePtr> {
    CRISP_ASSIGN_OR_RETURN(std::vector<RegistryHost> hosts,
                           RegistryHosts(flight->reference.host(), options_.registry_config_dirs));
    Registry registry(flight->reference, flight->credentials, std::move(hosts), options_);
    image::Pull line(options_, store_, target_, flight->reference, registry, flight->call);
    return line.Run([&](const oci::Manifest& manifest) -> std::deque<LayerCounter>& {
      absl::MutexLock lock(&flight->progress_mu);
      for (const oci::Descriptor& layer : manifest.layers) {
        LayerCounter& counter = flight->layers.emplace_back();
        counter.digest = layer.digest;
        counter.total = layer.size;
      }
      return flight->layers;
    });
  };
  absl::StatusOr<ImagePtr> result = pull();
  if (!result.ok()) {
    result = PullError(result.status(), flight->reference);
    if (after_failure_) after_failure_();
  }
  absl::MutexLock lock(&mu_);
  flight->result = std::move(result);
  flight->done = true;
  flight->finished.Set();
}

absl::StatusOr<std::shared_ptr<Puller::Flight>> Puller::Join(const oci::Reference& reference,
                                                             const Credentials& credentials) {
  absl::MutexLock lock(&mu_);
  std::erase_if(flights_, [](const std::shared_ptr<Flight>& flight) {
    if (flight->done) flight->thread.Join();  // it has nothing left to do but return
    return flight->done;
  });
  for (const std::shared_ptr<Flight>& flight : flights_) {
    if (flight->call.cancel->cancelled() || flight->reference != reference) continue;
    if (!(flight->credentials == credentials)) continue;
    ++flight->waiters;
    return flight;
  }
  auto flight = std::make_shared<Flight>(reference, credentials);
  flight->waiters = 1;
  CRISP_ASSIGN_OR_RETURN(flight->thread,
                         base::StartThread("pull", [this, flight] { Run(flight); }));
  flights_.push_back(flight);
  return flight;
}

absl::StatusOr<ImagePtr> Puller::Pull(const oci::Reference& reference,
                                      const Credentials& credentials, const base::Call& call) {
  if (absl::Status status = call.Check(); !status.ok()) return PullError(status, reference);
  CRISP_ASSIGN_OR_RETURN(const std::shared_ptr<Flight> flight, Join(reference, credentials));
  const absl::Status waited = flight->finished.Wait(call);
  absl::MutexLock lock(&mu_);
  if (flight->done) return flight->result;
  if (--flight->waiters == 0) flight->call.cancel->Cancel();
  return PullError(waited, reference);
}

std::vector<PullProgress> Puller::Progress() const {
  absl::MutexLock lock(&mu_);
  std::vector<PullProgress> all;
  for (const std::shared_ptr<Flight>& flight : flights_) {
    if (flight->done) continue;
    PullProgress& progress = all.emplace_back();
    progress.reference = flight->reference.ToString();
    absl::MutexLock layers_lock(&flight->progress_mu);
    for (const LayerCounter& layer : flight->layers) {
      progress.layers.push_back(
          {.digest = layer.digest, .bytes_done = layer.done, .bytes_total = layer.total});
    }
  }
  return all;
}

}  // namespace crisp::image
