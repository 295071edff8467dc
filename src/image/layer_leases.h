// Leases on layers: two pulls do not unpack the same layer, and a layer that a running pull needs
// is not deleted. In memory only; thread-safe.
#pragma once

#include <map>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "image/pull_context.h"
#include "oci/chain_id.h"
#include "oci/digest.h"

namespace crisp::image {

class LayerLeases;

// A lease on one chain id: exclusive at first, shared with other pulls after Share(). The
// destructor releases it. Must not outlive its LayerLeases. Move-only; one thread at a time.
class LayerLease {
 public:
  LayerLease(LayerLease&& other) noexcept;
  LayerLease& operator=(LayerLease&& other) noexcept;
  ~LayerLease();

  const oci::ChainId& chain_id() const { return chain_id_; }
  // The layer is published: other pulls may use it too, and it is still not deleted.
  void Share();

 private:
  friend class LayerLeases;
  LayerLease(LayerLeases* leases, oci::ChainId chain_id)
      : leases_(leases), chain_id_(std::move(chain_id)) {}
  void Release();

  LayerLeases* leases_;
  oci::ChainId chain_id_;
  bool exclusive_ = true;
};

class LayerLeases {
 public:
  // Waits while another lease on the chain id is exclusive. Only the errors of `context`.
  absl::StatusOr<LayerLease> Acquire(const oci::ChainId& chain_id, const PullContext& context);
  // std::nullopt when there is any lease on it.
  std::optional<LayerLease> TryAcquire(const oci::ChainId& chain_id);

 private:
  friend class LayerLease;
  struct Holders {
    int count = 0;
    bool exclusive = false;
  };
  void EndExclusive(const oci::ChainId& chain_id);
  void Drop(const oci::ChainId& chain_id);

  absl::Mutex mu_;
  absl::CondVar changed_;
  std::map<oci::ChainId, Holders> holders_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::image
