#include "image/layer_leases.h"

#include <utility>

#include "base/status_macros.h"

namespace crisp::image {

LayerLease::LayerLease(LayerLease&& other) noexcept
    : leases_(std::exchange(other.leases_, nullptr)), chain_id_(std::move(other.chain_id_)) {}

LayerLease& LayerLease::operator=(LayerLease&& other) noexcept {
  if (this != &other) {
    Release();
    leases_ = std::exchange(other.leases_, nullptr);
    chain_id_ = std::move(other.chain_id_);
  }
  return *this;
}

LayerLease::~LayerLease() { Release(); }

void LayerLease::Release() {
  if (leases_ == nullptr) return;
  leases_->Drop(chain_id_);
  leases_ = nullptr;
}

absl::StatusOr<LayerLease> LayerLeases::Acquire(const oci::ChainId& chain_id,
                                                const base::Call& call) {
  const base::CancelToken::Subscription wake(*call.cancel, [this] {
    absl::MutexLock lock(&mu_);
    changed_.NotifyAll();
  });
  absl::MutexLock lock(&mu_);
  while (true) {
    const auto holders = holders_.find(chain_id);
    if (holders == holders_.end() || !holders->second.deletes) break;
    CRISP_RETURN_IF_ERROR(call.Check());
    changed_.Wait(mu_, call.deadline);
  }
  ++holders_[chain_id].count;
  return LayerLease(this, chain_id);
}

std::optional<LayerLease> LayerLeases::TryAcquire(const oci::ChainId& chain_id) {
  absl::MutexLock lock(&mu_);
  if (holders_.contains(chain_id)) return std::nullopt;
  holders_[chain_id] = {.count = 1, .deletes = true};
  return LayerLease(this, chain_id);
}

void LayerLeases::Drop(const oci::ChainId& chain_id) {
  absl::MutexLock lock(&mu_);
  const auto holders = holders_.find(chain_id);
  if (--holders->second.count > 0) return;
  if (holders->second.deletes) changed_.NotifyAll();
  holders_.erase(holders);
}

}  // namespace crisp::image
