// Unpacked image layers and writable container layers on disk.
//
//   <root>                      0700 (base::Paths::Snapshots())
//     layers/<n>/record.json    chain id, parent, diff id, size
//     layers/<n>/fs             an overlay lower directory; <n> is never used twice
//     staging/<n>/              a layer being unpacked; trash after a restart
//     containers/<id>/{fs,work} upper and work directory
//     trash/                    renamed here, removed by a background thread, also after a restart
//
// A directory under layers/ is complete, verified and was synced before it got there. A record that
// cannot be read, or whose parent is missing, makes that one layer (and what stands on it) trash,
// never the start fail.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "oci/chain_id.h"
#include "snapshot/layer_writer.h"
#include "snapshot/rootfs_view.h"

namespace crisp::snapshot {

struct Usage {
  uint64_t bytes = 0;  // allocated on disk, a hard link counted once
  uint64_t inodes = 0;
};

struct StoreOptions {
  std::string root;
  UnpackLimits limits;
};

struct LayerInfo {
  oci::ChainId chain_id;
  oci::ChainId parent;
  std::string diff_id;
  Usage usage;
};

// Owner of a container's writable layer as the host sees it: the mapped root of a user namespace.
struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Thread-safe. No call but BeginLayer's writer and ContainerUsage takes time that grows with a
// layer's size.
class SnapshotStore {
 public:
  ~SnapshotStore();

  // Makes the directories, reads the records, moves leftovers to the trash. `problems` (may be
  // null) gets one line per layer that was given up, for the caller's log.
  static absl::StatusOr<std::unique_ptr<SnapshotStore>> Open(
      StoreOptions options, std::vector<std::string>* problems = nullptr);

  // Absolute; the mount point ImageFsInfo reports.
  const std::string& root() const;

  bool Has(const oci::ChainId& chain_id) const;
  std::vector<LayerInfo> Layers() const;
  // Starts an unpack. The writer must not outlive the store.
  absl::StatusOr<std::unique_ptr<LayerWriter>> BeginLayer(const LayerSpec& spec);
  // Which layers are unused is known above (images and containers). A layer that another one, not
  // among these, stands on stays, and so does what it stands on itself; unknown ids are ignored.
  absl::Status RemoveLayers(absl::Span<const oci::ChainId> chain_ids);

  // The layers alone, read-only; an empty chain id is an image without layers. kNotFound for an
  // unknown chain id.
  absl::StatusOr<RootfsView> View(const oci::ChainId& chain_id) const;
  // Makes an empty writable layer on top. kAlreadyExists when the container has one.
  absl::StatusOr<RootfsView> Prepare(absl::string_view container_id, const oci::ChainId& chain_id,
                                     Owner owner);
  // View() plus the writable layer Prepare made; what a restarted daemon asks for.
  absl::StatusOr<RootfsView> ContainerView(absl::string_view container_id,
                                           const oci::ChainId& chain_id) const;
  // Ids that have a writable layer, for reconciling at start.
  absl::StatusOr<std::vector<std::string>> Containers() const;
  // OK when there is none. The space comes back in the background.
  absl::Status RemoveContainer(absl::string_view container_id);
  // Of the writable layer; walks it. kNotFound for a container without one.
  absl::StatusOr<Usage> ContainerUsage(absl::string_view container_id) const;

  // Sum over all published layers, from their records.
  Usage LayersUsage() const;

 private:
  struct State;
  explicit SnapshotStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace crisp::snapshot
