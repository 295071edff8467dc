// Knows which layers are needed, and deletes the others. A layer is needed by the images made of
// it, by the containers that use it, also when their image was removed, and by the pulls that hold
// it. Whoever ends such a need tells this class, which deletes unneeded layers at once: clients
// cannot see a layer that belongs to no image, so they could not ask for its space later.
// Thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "image/image_store.h"
#include "snapshot/snapshot_store.h"

namespace crisp::layers {

class LayerUse {
 public:
  // Borrows both.
  LayerUse(image::ImageStore& images, snapshot::SnapshotStore& layers)
      : images_(images), layers_(layers) {}

  // Held over "find the image and count its layers", so that no deletion comes in between.
  absl::Mutex& mu() ABSL_LOCK_RETURNED(mu_) { return mu_; }

  // A container's layers, before they are looked at.
  void Add(const std::vector<oci::ChainId>& chain_ids) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The container is gone: deletes those of its layers that nothing else needs.
  void Release(const std::vector<oci::ChainId>& chain_ids) ABSL_LOCKS_EXCLUDED(mu_);
  // Deletes every layer that is not needed: when an image was removed, when a pull failed, and at
  // start, after the containers were counted.
  void DeleteUnused() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Layers on their way out: not in the index any more. The leases keep pulls from making the same
  // layers until they are deleted.
  struct Removal {
    std::vector<image::LayerLease> leases;
    std::vector<uint64_t> numbers;
  };
  Removal UnlistUnused(const std::vector<oci::ChainId>& chain_ids)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits for the disk, so it is called without the lock, for which CreateContainer waits.
  void Delete(const Removal& removal) ABSL_LOCKS_EXCLUDED(mu_);

  image::ImageStore& images_;
  snapshot::SnapshotStore& layers_;
  absl::Mutex mu_;
  std::map<oci::ChainId, int> containers_ ABSL_GUARDED_BY(mu_);  // how many count on a layer
};

}  // namespace crisp::layers
