// Unpacks one image layer in one pass while it is downloaded: decompresses, hashes and untars it
// into a staging directory (unpacker.h), and publishes it under its chain id when it is complete,
// verified and synced.
//
// The first bytes decide about the compression (gzip, zstd, plain tar), never the media type; xz,
// bzip2 and other formats are refused. Layers are not trusted: two processes with few rights parse
// them (unpack_isolation.h), and tree_writer.h says what is refused and what is dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "oci/chain_id.h"
#include "snapshot/unpack_limits.h"

namespace crisp::snapshot {

struct LayerStaging;  // layer_staging.h

struct LayerSpec {
  oci::ChainId chain_id;  // of this layer with those below it
  oci::ChainId parent;    // chain id of the layer below; empty for the lowest
  std::string diff_id;    // "sha256:<64 hex>", digest of the uncompressed tar
};

// One thread at a time. After an error every later call returns the same error. A writer that is
// destroyed before Finish() has returned OK leaves nothing: the store removes its directory in the
// background.
class LayerWriter {
 public:
  ~LayerWriter();

  // The next bytes of the blob, as the registry has it. Blocks while the disk is slower than the
  // network.
  absl::Status Write(absl::Span<const char> compressed);

  // To be called after all bytes. Waits for the unpacking and checks end of stream, end of archive
  // and diff id (kDataLoss). Does not need the parent layer: layers of an image are sealed in
  // parallel.
  absl::Status Seal();

  // After Seal(): whether Finish() has a part to unpack that needs the layers below. Until then one
  // process is kept.
  bool WaitsForParent() const;

  // Seals, unless that was done, and publishes. kFailedPrecondition when the parent is not
  // published: finish layers bottom-up. OK when another writer has published the same chain id
  // meanwhile. Blocks until the layer is synced.
  absl::Status Finish();

  // Makes a call that waits for the unpacking return an error soon. From any thread.
  void Abandon();

 private:
  friend class SnapshotStore;
  struct State;
  explicit LayerWriter(std::unique_ptr<State> state);
  static absl::StatusOr<std::unique_ptr<LayerWriter>> Create(LayerStaging staging);
  absl::Status Run(absl::FunctionRef<absl::Status()> step);
  std::unique_ptr<State> state_;
};

}  // namespace crisp::snapshot
