// Unpacks one image layer in one pass while it is downloaded: decompressed, hashed and untarred
// into a staging directory; published under its chain id only when it is complete, verified and on
// disk.
//
//   caller's thread:  Write -> decompress -> hash -> bounded queue (1 MiB)
//   worker thread:                                   queue -> tar -> files below staging/<n>/fs
//
// The compression is read from the first bytes (gzip, zstd, plain tar), never from the media type;
// xz, bzip2 and other streams are refused. Everything in a layer is hostile: tree_writer.h says
// what is refused and what is dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "oci/chain_id.h"

namespace crisp::snapshot {

struct LayerStaging;  // layer_staging.h

// What a layer may take. Exceeding one is kResourceExhausted naming the limit.
struct UnpackLimits {
  // Unpacking stops when the file system has less than this left (for users other than root).
  uint64_t min_free_bytes = uint64_t{256} << 20;
  uint64_t min_free_inodes = 1024;
  // Uncompressed bytes per compressed byte, looked at once `ratio_from_bytes` have come out.
  uint64_t max_ratio = 256;
  uint64_t ratio_from_bytes = uint64_t{256} << 20;
};

struct LayerSpec {
  oci::ChainId chain_id;  // "sha256:<64 hex>", of this layer on top of its parents
  oci::ChainId parent;    // chain id of the layer below; empty for the lowest
  std::string diff_id;    // "sha256:<64 hex>" the uncompressed tar must have
};

// One thread at a time. After an error every later call returns the same error. Destroying a writer
// before Finish has returned OK leaves nothing behind but a directory that the store removes in the
// background.
class LayerWriter {
 public:
  ~LayerWriter();

  // The next bytes of the blob as stored in the registry. Blocks while the disk is slower than the
  // network.
  absl::Status Write(absl::Span<const char> compressed);

  // Says that all bytes were given, waits for the unpacking and checks end of stream, end of
  // archive and diff id (kDataLoss when any is wrong). Does not need the parent layer: layers of an
  // image are sealed in parallel.
  absl::Status Seal();

  // Seals unless that is done, then publishes. kFailedPrecondition unless the parent is published:
  // finish layers bottom-up. OK when another writer has published the same chain id meanwhile. May
  // take as long as the disk.
  absl::Status Finish();

 private:
  friend class SnapshotStore;
  struct State;
  explicit LayerWriter(std::unique_ptr<State> state);
  static absl::StatusOr<std::unique_ptr<LayerWriter>> Create(LayerStaging staging);
  absl::Status Run(absl::FunctionRef<absl::Status()> step);
  std::unique_ptr<State> state_;
};

}  // namespace crisp::snapshot
