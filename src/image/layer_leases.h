// Leases on layers: a layer that a running pull needs is not deleted. Any number of pulls may hold
// a lease on the same layer, whether it is there yet or not: none of them waits for what another
// downloads. In memory only; thread-safe.
#pragma once

#include <map>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/call.h"
#include "base/wait.h"
#include "oci/chain_id.h"
#include "oci/digest.h"

namespace crisp::image {

class LayerLeases;

// A lease on one chain id. The destructor releases it. Must not outlive its LayerLeases. Move-only;
// one thread at a time.
class LayerLease {
 public:
  LayerLease(LayerLease&& other) noexcept;
  LayerLease& operator=(LayerLease&& other) noexcept;
  ~LayerLease();

  const oci::ChainId& chain_id() const { return chain_id_; }

 private:
  friend class LayerLeases;
  LayerLease(LayerLeases* leases, oci::ChainId chain_id)
      : leases_(leases), chain_id_(std::move(chain_id)) {}
  void Release();

  LayerLeases* leases_;
  oci::ChainId chain_id_;
};

class LayerLeases {
 public:
  // For a pull. Waits while the layer is being deleted. Only the errors of `call`.
  absl::StatusOr<LayerLease> Acquire(const oci::ChainId& chain_id, const base::Call& call);
  // To delete the layer: pulls that need it wait until this lease is released. std::nullopt when
  // there is any lease on it.
  std::optional<LayerLease> TryAcquire(const oci::ChainId& chain_id);

 private:
  friend class LayerLease;
  struct Holders {
    int count = 0;
    bool deletes = false;  // the only one
  };
  void Drop(const oci::ChainId& chain_id);

  absl::Mutex mu_;
  base::CondVar changed_;
  std::map<oci::ChainId, Holders> holders_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::image
