// The interface to the store of unpacked layers (layers/ implements it with snapshot/). The puller
// streams compressed bytes into a sink while they arrive; compressed layers are not stored.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/chain_id.h"
#include "oci/digest.h"

namespace crisp::image {

struct LayerInfo {
  int index = 0;           // 0 is the base layer
  std::string media_type;  // of the descriptor; the content may be of another type
  int64_t compressed_size = 0;
  oci::Digest diff_id;           // of the uncompressed tar
  oci::ChainId parent_chain_id;  // empty for the base layer
  oci::ChainId chain_id;
};

// One layer that is being unpacked. Calls: Write*, Seal, Finish; none after an error. Destroyed
// without a successful Finish() it leaves nothing behind. One thread at a time.
class LayerSink {
 public:
  virtual ~LayerSink() = default;
  // The next compressed bytes, of any size. Blocks while it unpacks, which slows the download down
  // to the speed of the disk.
  virtual absl::Status Write(absl::string_view bytes) = 0;
  // Called after all bytes, when their digest and size are correct. Ends the unpacking and verifies
  // the diff id. Does not need the parent: layers are sealed in any order.
  virtual absl::Status Seal() = 0;
  // After Seal(): whether there is something left to unpack that needs the parent, with processes
  // that are kept for it until Finish().
  virtual bool WaitsForParent() const { return false; }
  // Publishes the layer, synced to disk; drops it when it is there already. Called after Finish()
  // of the parent.
  virtual absl::Status Finish() = 0;
  // Makes a call that waits for the unpacking return an error soon. The one function that another
  // thread may call meanwhile.
  virtual void Abandon() {}
};

// Thread-safe. Layers are begun concurrently, also several times with the same chain id: two pulls
// that need the same layer each download it, and of their sinks the first to finish is published.
class LayerTarget {
 public:
  virtual ~LayerTarget() = default;
  virtual bool Has(const oci::ChainId& chain_id) const = 0;
  virtual absl::StatusOr<std::unique_ptr<LayerSink>> Begin(const LayerInfo& layer) = 0;
};

}  // namespace crisp::image
