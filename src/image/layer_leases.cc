#include "image/layer_leases.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace crisp::image {
namespace {

// A cancellation is a flag that the caller sets: it has to be polled.
constexpr absl::Duration kLeasePoll = absl::Milliseconds(20);

}  // namespace

LayerLease::LayerLease(LayerLease&& other) noexcept
    : leases_(std::exchange(other.leases_, nullptr)),
      chain_id_(std::move(other.chain_id_)),
      exclusive_(other.exclusive_) {}

LayerLease& LayerLease::operator=(LayerLease&& other) noexcept {
  if (this != &other) {
    Release();
    leases_ = std::exchange(other.leases_, nullptr);
    chain_id_ = std::move(other.chain_id_);
    exclusive_ = other.exclusive_;
  }
  return *this;
}

LayerLease::~LayerLease() { Release(); }

void LayerLease::Share() {
  if (!exclusive_) return;
  exclusive_ = false;
  leases_->EndExclusive(chain_id_);
}

void LayerLease::Release() {
  if (leases_ == nullptr) return;
  if (exclusive_) leases_->EndExclusive(chain_id_);
  leases_->Drop(chain_id_);
  leases_ = nullptr;
}

absl::StatusOr<LayerLease> LayerLeases::Acquire(const oci::ChainId& chain_id,
                                                const PullContext& context) {
  absl::MutexLock lock(&mu_);
  while (holders_[chain_id].exclusive) {
    CRISP_RETURN_IF_ERROR(context.Check());
    changed_.WaitWithTimeout(&mu_, kLeasePoll);
  }
  Holders& holders = holders_[chain_id];
  holders.exclusive = true;
  ++holders.count;
  return LayerLease(this, chain_id);
}

std::optional<LayerLease> LayerLeases::TryAcquire(const oci::ChainId& chain_id) {
  absl::MutexLock lock(&mu_);
  if (holders_.contains(chain_id)) return std::nullopt;
  holders_[chain_id] = {.count = 1, .exclusive = true};
  return LayerLease(this, chain_id);
}

void LayerLeases::EndExclusive(const oci::ChainId& chain_id) {
  absl::MutexLock lock(&mu_);
  holders_[chain_id].exclusive = false;
  changed_.SignalAll();
}

void LayerLeases::Drop(const oci::ChainId& chain_id) {
  absl::MutexLock lock(&mu_);
  if (--holders_[chain_id].count == 0) holders_.erase(chain_id);
}

}  // namespace crisp::image
