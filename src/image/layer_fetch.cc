#include "image/layer_fetch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/status_macros.h"
#include "base/thread.h"

namespace crisp::image {
namespace {

// Ends a download when another pull has published the layer: with an error nobody sees; and when
// this pull is given up, also one that waits for the unpacking.
class UnlessPresent final : public LayerSink {
 public:
  UnlessPresent(const LayerTarget& target, oci::ChainId chain_id, std::unique_ptr<LayerSink> sink,
                base::CancelToken& cancel)
      : target_(target),
        chain_id_(std::move(chain_id)),
        sink_(std::move(sink)),
        given_up_(cancel, [this] { sink_->Abandon(); }) {}

  absl::Status Write(absl::string_view bytes) override {
    if (target_.Has(chain_id_)) return absl::AlreadyExistsError("the layer is present");
    base::Failpoint("pull: bytes received");
    return sink_->Write(bytes);
  }
  absl::Status Seal() override { return sink_->Seal(); }
  bool WaitsForParent() const override { return sink_->WaitsForParent(); }
  absl::Status Finish() override { return sink_->Finish(); }

 private:
  const LayerTarget& target_;
  const oci::ChainId chain_id_;
  const std::unique_ptr<LayerSink> sink_;
  const base::CancelToken::Subscription given_up_;
};

}  // namespace

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

absl::Status LayerFetch::Run(int parallel, const base::Call& call) {
  call_ = base::Call::Until(call.deadline);
  const base::CancelToken::Subscription with_caller(*call.cancel,
                                                    [this] { call_.cancel->Cancel(); });
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
  // In order, from the base layer, so that layers can be published early.
  for (size_t i = next_++; i < layers_.size() && AwaitTurn(i); i = next_++) {
    if (absl::Status status = Fetch(i); !status.ok()) return Fail(i, status);
    if (absl::Status status = PublishReady(); !status.ok()) return;
  }
}

bool LayerFetch::AwaitTurn(size_t index) {
  absl::MutexLock lock(&mu_);
  // Another thread fetches or publishes the lowest one, and ends the wait also when that fails.
  while (!failed_ && waiting_ >= kMaxWaiting && index > published_)
    changed_.Wait(mu_, base::Deadline::Never());
  return !failed_;
}

void LayerFetch::Fail(size_t index, const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  // After the first failure the other layers fail with kCancelled.
  if (failed_.exchange(true)) return;
  changed_.NotifyAll();
  // Of a caller that has left or has no time left, not that the unpacking was ended for it.
  const absl::Status given_up = call_.Check();
  call_.cancel->Cancel();
  failure_ = base::Prefix(given_up.ok() ? status : given_up,
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
  CRISP_ASSIGN_OR_RETURN(LayerLease lease, leases_.Acquire(info.chain_id, call_));
  base::Failpoint("pull: layer leased");
  const auto begin = [&]() -> absl::StatusOr<std::unique_ptr<LayerSink>> {
    CRISP_ASSIGN_OR_RETURN(std::unique_ptr<LayerSink> sink, target_.Begin(info));
    return std::make_unique<UnlessPresent>(target_, info.chain_id, std::move(sink), *call_.cancel);
  };
  std::unique_ptr<LayerSink> sink;
  if (!target_.Has(info.chain_id)) {
    absl::StatusOr<std::unique_ptr<LayerSink>> fetched =
        registry_.FetchBlob(descriptor, begin, counters_[index].done, call_);
    // Leased, so it is still there in the first case.
    if (!fetched.ok() && !target_.Has(info.chain_id)) return fetched.status();
    if (fetched.ok()) sink = *std::move(fetched);
  }
  if (descriptor.size > 0) counters_[index].done = descriptor.size;
  absl::MutexLock lock(&mu_);
  if (sink != nullptr && sink->WaitsForParent()) ++waiting_;
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
      const bool waits = sink->WaitsForParent();
      mu_.Unlock();  // the other threads need the lock while this one syncs the disk
      status = sink->Finish();
      mu_.Lock();
      if (waits) --waiting_;
    }
    if (!status.ok()) break;
    published_ = ++index;
    changed_.NotifyAll();
  }
  publishing_ = false;
  if (status.ok() || failed_.exchange(true)) return status;
  changed_.NotifyAll();
  call_.cancel->Cancel();
  failure_ = base::Prefix(status,
                          absl::StrCat("layer ", index, " ", manifest_.layers[index].digest.str()));
  return status;
}

}  // namespace crisp::image
