// Who is working on which layer: keeps two pulls from unpacking one layer twice and keeps a removal
// from deleting a layer that a running pull counts on. In memory only; thread-safe.
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

// Holds one chain id: exclusively at first, shared with other pulls after Share(). Released by
// destruction. Must not outlive its LayerLeases. Move-only.
class LayerLease {
 public:
  LayerLease(LayerLease&& other) noexcept;
  LayerLease& operator=(LayerLease&& other) noexcept;
  ~LayerLease();

  const oci::ChainId& chain_id() const { return chain_id_; }
  // The layer is in place: others may count on it too, nobody may delete it.
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
  // Waits while another holds the chain id exclusively; fails only as `context` does.
  absl::StatusOr<LayerLease> Acquire(const oci::ChainId& chain_id, const PullContext& context);
  // Nothing when anybody holds it.
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
