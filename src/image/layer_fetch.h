// The layers of one image: several at a time are downloaded and unpacked, and published bottom-up.
// Layers that are present are not fetched; one that another pull publishes meanwhile is not fetched
// to the end. Another pull is never waited for: its registry may be slower than this one's, and
// what it sends may not be the layer it claims to be.
//
// Processes unpack the layers, and all pulls share their number (snapshot/unpack_processes.h). So
// that a registry that does not send the lowest layer cannot make one pull hold one for each of the
// others, few sealed layers may wait for their parents; then only the lowest is fetched.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/call.h"
#include "base/wait.h"
#include "image/image_store.h"
#include "image/layer_leases.h"
#include "image/layer_target.h"
#include "image/registry.h"
#include "oci/image_spec.h"

namespace crisp::image {

struct LayerCounter {
  oci::Digest digest;
  int64_t total = 0;  // 0: not stated
  std::atomic<int64_t> done = 0;
};

// For one call of Run(). As long as the object exists, it holds leases on the layers that it has
// published or found, so that they are not removed.
class LayerFetch {
 public:
  // Borrows all arguments. `counters` has one element for each layer of the manifest.
  LayerFetch(Registry& registry, LayerTarget& target, LayerLeases& leases,
             const oci::Manifest& manifest, const std::vector<Layer>& layers,
             std::deque<LayerCounter>& counters);

  // The error names the layer. Blocks; uses up to `parallel` threads, the caller's included.
  absl::Status Run(int parallel, const base::Call& call);

  // A pull has at most kMaxWaiting - 1 + 2 * parallel processes at a time: two while a layer comes,
  // one while it waits.
  static constexpr int kMaxWaiting = 2;

 private:
  // Fetches layers until there are no more or one has failed.
  void Work();
  // Waits for its turn. False when a layer has failed.
  bool AwaitTurn(size_t index);
  absl::Status Fetch(size_t index);
  // Publishes every sealed layer whose parent is published, including those sealed meanwhile.
  absl::Status PublishReady();
  void Fail(size_t index, const absl::Status& status);

  Registry& registry_;
  LayerTarget& target_;
  LayerLeases& leases_;
  const oci::Manifest& manifest_;
  const std::vector<Layer>& layers_;
  std::deque<LayerCounter>& counters_;
  base::Call call_;  // also cancelled when a layer fails

  std::atomic<size_t> next_ = 0;
  std::atomic<bool> failed_ = false;

  // A layer between Fetch() and its publication.
  struct Progress {
    bool ready = false;  // sealed, or present already
    std::unique_ptr<LayerSink> sink;
    std::optional<LayerLease> lease;
  };
  absl::Mutex mu_;
  base::CondVar changed_;
  std::vector<Progress> progress_ ABSL_GUARDED_BY(mu_);
  size_t published_ ABSL_GUARDED_BY(mu_) = 0;  // layers below this index are published
  int waiting_ ABSL_GUARDED_BY(mu_) = 0;       // sealed layers that wait for their parent
  bool publishing_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::image
