// Where pulled layers go. Defined here, implemented above (snapshot/ is a sibling): the puller
// streams compressed bytes into a sink while they arrive, nothing compressed is stored.
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
  std::string media_type;  // of the descriptor: a hint, the bytes may say otherwise
  int64_t compressed_size = 0;
  oci::Digest diff_id;           // of the uncompressed tar
  oci::ChainId parent_chain_id;  // empty for the base layer
  oci::ChainId chain_id;         // the layer's name from now on
};

// One layer on its way to disk. Used by one thread at a time; destroyed without a successful
// Finish() it leaves nothing behind. Write* -> Seal -> Finish; after an error no other call
// follows.
class LayerSink {
 public:
  virtual ~LayerSink() = default;
  // Takes the next compressed bytes, in order, any size. Blocks while it unpacks: that is the
  // back-pressure.
  virtual absl::Status Write(absl::string_view bytes) = 0;
  // All bytes came and their digest and size are right. Ends the unpacking and verifies the diff
  // id. Does not need the parent: layers are sealed in any order.
  virtual absl::Status Seal() = 0;
  // Makes the layer visible, durably. Called bottom-up: the parent is visible now.
  virtual absl::Status Finish() = 0;
};

// Thread-safe: layers of one image and of several images are begun concurrently, one chain id
// never twice at the same time.
class LayerTarget {
 public:
  virtual ~LayerTarget() = default;
  virtual bool Has(const oci::ChainId& chain_id) const = 0;
  virtual absl::StatusOr<std::unique_ptr<LayerSink>> Begin(const LayerInfo& layer) = 0;
};

}  // namespace crisp::image
