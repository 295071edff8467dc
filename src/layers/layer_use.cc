#include "layers/layer_use.h"

#include "base/log.h"

namespace crisp::layers {

void LayerUse::Add(const std::vector<oci::ChainId>& chain_ids) {
  for (const oci::ChainId& id : chain_ids) ++containers_[id];
}

void LayerUse::Release(const std::vector<oci::ChainId>& chain_ids) {
  Removal removal;
  {
    absl::MutexLock lock(&mu_);
    for (const oci::ChainId& id : chain_ids) {
      const auto it = containers_.find(id);
      if (it != containers_.end() && --it->second == 0) containers_.erase(it);
    }
    removal = UnlistUnused(chain_ids);
  }
  Delete(removal);
}

void LayerUse::DeleteUnused() {
  Removal removal;
  {
    absl::MutexLock lock(&mu_);
    std::vector<oci::ChainId> chain_ids;
    for (const snapshot::LayerInfo& layer : layers_.Layers()) chain_ids.push_back(layer.chain_id);
    removal = UnlistUnused(chain_ids);
  }
  Delete(removal);
}

LayerUse::Removal LayerUse::UnlistUnused(const std::vector<oci::ChainId>& chain_ids) {
  std::vector<oci::ChainId> candidates;
  for (const oci::ChainId& chain_id : chain_ids) {
    if (containers_.count(chain_id) == 0) candidates.push_back(chain_id);
  }
  Removal removal;
  if (candidates.empty()) return removal;
  removal.leases = images_.Unused(candidates);
  std::vector<oci::ChainId> gone;
  for (const image::LayerLease& lease : removal.leases) gone.push_back(lease.chain_id());
  removal.numbers = layers_.Unlist(gone);
  return removal;
}

void LayerUse::Delete(const Removal& removal) {
  const absl::Status deleted = layers_.DeleteUnlisted(removal.numbers);
  if (deleted.ok()) return;
  // The caller can do nothing about it; the next start tries again.
  base::Log(base::LogLevel::kError, "unused layers cannot be removed",
            {{"error", std::string(deleted.message())}});
}

}  // namespace crisp::layers
