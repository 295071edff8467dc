// The snapshot store as the puller's layer target: image/ and snapshot/ are siblings that do not
// know each other. Thread-safe as both are.
#pragma once

#include <memory>

#include "image/layer_target.h"
#include "snapshot/snapshot_store.h"

namespace crisp::layers {

class LayerStore : public image::LayerTarget {
 public:
  explicit LayerStore(snapshot::SnapshotStore& store) : store_(store) {}

  bool Has(const oci::ChainId& chain_id) const override;
  absl::StatusOr<std::unique_ptr<image::LayerSink>> Begin(const image::LayerInfo& layer) override;

 private:
  snapshot::SnapshotStore& store_;
};

}  // namespace crisp::layers
