#include "layers/layer_use.h"

#include "base/log.h"

namespace crisp::layers {

void LayerUse::Add(const std::vector<oci::ChainId>& chain_ids) {
  for (const oci::ChainId& id : chain_ids) ++containers_[id];
}

void LayerUse::Release(const std::vector<oci::ChainId>& chain_ids) {
  absl::MutexLock lock(&mu_);
  for (const oci::ChainId& id : chain_ids) {
    const auto it = containers_.find(id);
    if (it != containers_.end() && --it->second == 0) containers_.erase(it);
  }
  DeleteUnusedOf(chain_ids);
}

void LayerUse::DeleteUnused() {
  absl::MutexLock lock(&mu_);
  std::vector<oci::ChainId> chain_ids;
  for (const snapshot::LayerInfo& layer : layers_.Layers()) chain_ids.push_back(layer.chain_id);
  DeleteUnusedOf(chain_ids);
}

void LayerUse::DeleteUnusedOf(const std::vector<oci::ChainId>& chain_ids) {
  std::vector<oci::ChainId> candidates;
  for (const oci::ChainId& chain_id : chain_ids) {
    if (containers_.count(chain_id) == 0) candidates.push_back(chain_id);
  }
  if (candidates.empty()) return;
  const std::vector<image::LayerLease> unused = images_.Unused(candidates);
  if (unused.empty()) return;
  std::vector<oci::ChainId> gone;
  for (const image::LayerLease& lease : unused) gone.push_back(lease.chain_id());
  const absl::Status removed = layers_.RemoveLayers(gone);
  if (removed.ok()) return;
  // The caller can do nothing about it; the next start tries again.
  base::Log(base::LogLevel::kError, "unused layers cannot be removed",
            {{"error", std::string(removed.message())}});
}

}  // namespace crisp::layers
