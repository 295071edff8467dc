#include "image/layer_fetch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "base/thread.h"

namespace crisp::image {

LayerFetch::LayerFetch(Registry& registry, LayerTarget& target, LayerLeases& leases,
                       const oci::Manifest& manifest, const std::vector<Layer>& layers,
                       std::deque<LayerCounter>& counters)
    : registry_(registry),
      target_(target),
      leases_(leases),
      manifest_(manifest),
      layers_(layers),
      counters_(counters),
      progress_(layers.size()) {}

absl::Status LayerFetch::Run(int parallel, const PullContext& context) {
  context_ = context;
  context_.cancelled = [this, outer = context.cancelled] { return failed_ || (outer && outer()); };
  std::vector<base::Thread> helpers;
  const size_t wanted = std::min(layers_.size(), static_cast<size_t>(std::max(1, parallel)));
  while (helpers.size() + 1 < wanted) {
    absl::StatusOr<base::Thread> helper = base::StartThread("layer", [this] { Work(); });
    if (!helper.ok()) break;  // no more threads: the pull is slower
    helpers.push_back(*std::move(helper));
  }
  Work();
  for (base::Thread& helper : helpers) helper.Join();
  absl::MutexLock lock(&mu_);
  return failure_;
}

void LayerFetch::Work() {
  // In order, from the base layer: a thread waits only for layers that another thread is fetching.
  for (size_t i = next_++; i < layers_.size() && !failed_; i = next_++) {
    if (absl::Status status = Fetch(i); !status.ok()) return Fail(i, status);
    if (absl::Status status = PublishReady(); !status.ok()) return;
  }
}

void LayerFetch::Fail(size_t index, const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  // After the first failure the other layers fail with kCancelled.
  if (failed_.exchange(true)) return;
  failure_ = base::Prefix(status,
                          absl::StrCat("layer ", index, " ", manifest_.layers[index].digest.str()));
}

absl::Status LayerFetch::Fetch(size_t index) {
  const oci::Descriptor& descriptor = manifest_.layers[index];
  const LayerInfo info{.index = static_cast<int>(index),
                       .media_type = descriptor.media_type,
                       .compressed_size = descriptor.size,
                       .diff_id = layers_[index].diff_id,
                       .parent_chain_id = index == 0 ? oci::ChainId() : layers_[index - 1].chain_id,
                       .chain_id = layers_[index].chain_id};
  CRISP_ASSIGN_OR_RETURN(LayerLease lease, leases_.Acquire(info.chain_id, context_));
  std::unique_ptr<LayerSink> sink;
  if (!target_.Has(info.chain_id)) {
    CRISP_ASSIGN_OR_RETURN(sink, registry_.FetchBlob(
                                     descriptor, [&] { return target_.Begin(info); },
                                     counters_[index].done, context_));
  }
  counters_[index].done = counters_[index].total;
  absl::MutexLock lock(&mu_);
  progress_[index] = {.ready = true, .sink = std::move(sink), .lease = std::move(lease)};
  return absl::OkStatus();
}

absl::Status LayerFetch::PublishReady() {
  absl::MutexLock lock(&mu_);
  // The thread that is publishing will publish this layer too.
  if (publishing_) return absl::OkStatus();
  publishing_ = true;
  absl::Status status;
  size_t index = published_;
  while (status.ok() && index < progress_.size() && progress_[index].ready) {
    Progress& layer = progress_[index];
    if (layer.sink != nullptr) {
      const std::unique_ptr<LayerSink> sink = std::move(layer.sink);
      mu_.Unlock();  // the other threads need the lock while this one syncs the disk
      status = sink->Finish();
      mu_.Lock();
    }
    if (!status.ok()) break;
    layer.lease->Share();
    published_ = ++index;
  }
  publishing_ = false;
  if (status.ok() || failed_.exchange(true)) return status;
  failure_ = base::Prefix(status,
                          absl::StrCat("layer ", index, " ", manifest_.layers[index].digest.str()));
  return status;
}

}  // namespace crisp::image
