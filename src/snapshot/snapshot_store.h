// Unpacked image layers and writable container layers on disk.
//
//   <root>                      0700 (base::Paths::Snapshots())
//     layers/<n>/record.json    chain id, parent, diff id, size
//     layers/<n>/fs             an overlay lower directory; numbers are not reused
//     staging/<n>/              a layer that is being unpacked; removed after a restart
//     containers/<id>/{fs,work} upper and work directory
//     containers/<id>/volumes/<n>   volumes that the image declares (layers/declared_volumes.h)
//     trash/                    removed directories, which a background thread deletes
//     quarantine/               damaged layers (damaged_layers.h)
//
// A directory below layers/ is complete and verified, and was synced before it was renamed to
// there. A layer whose record is damaged or whose parent is missing is quarantined at start, with
// the layers on top of it; the start does not fail.
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
#include "base/unique_fd.h"
#include "oci/chain_id.h"
#include "snapshot/damaged_layers.h"
#include "snapshot/layer_writer.h"
#include "snapshot/rootfs_view.h"
#include "snapshot/unpack_workers.h"
#include "snapshot/usage.h"

namespace crisp::snapshot {

struct StoreOptions {
  std::string root;
  UnpackLimits limits;
  UnpackWorkers* workers = nullptr;  // borrowed; without them no layer can be begun
};

struct LayerInfo {
  oci::ChainId chain_id;
  oci::ChainId parent;
  std::string diff_id;
  Usage usage;
};

// The owner of a container's writable layer: host ids of the container's root.
struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Thread-safe. Only the writer of BeginLayer takes time that grows with the size of a layer.
class SnapshotStore {
 public:
  ~SnapshotStore();

  // Makes the directories, reads the records, removes staging directories of an earlier process.
  // What of that must be written and cannot be, on a full or read-only disk, is not an error.
  // `problems` (may be null) gets one line for it and for each quarantined layer, for the caller's
  // log.
  static absl::StatusOr<std::unique_ptr<SnapshotStore>> Open(
      StoreOptions options, std::vector<std::string>* problems = nullptr);

  // Absolute; ImageFsInfo reports it as the mount point.
  const std::string& root() const;
  // How much room must stay on the disk.
  const UnpackLimits& limits() const;

  bool Has(const oci::ChainId& chain_id) const;
  std::vector<LayerInfo> Layers() const;
  // Begins to unpack a layer. The writer must not outlive the store. kInvalidArgument for a chain
  // id that does not match parent and diff id.
  absl::StatusOr<std::unique_ptr<LayerWriter>> BeginLayer(const LayerSpec& spec);
  // The caller knows which layers images and containers use. A layer stays when it is a parent of a
  // layer that is not in `chain_ids`, and so do its own parents. Unknown ids are ignored.
  // Takes the layers out of the index, without waiting for the disk: nobody finds them any more.
  // Returns their numbers, children first, for DeleteUnlisted(); until that has returned nobody may
  // begin a layer with one of these chain ids. After a crash in between they are listed again.
  std::vector<uint64_t> Unlist(absl::Span<const oci::ChainId> chain_ids);
  absl::Status DeleteUnlisted(absl::Span<const uint64_t> numbers);

  // Read-only, without a writable layer; an empty chain id is an image without layers. kNotFound
  // for an unknown chain id.
  absl::StatusOr<RootfsView> View(const oci::ChainId& chain_id) const;
  // The same with a new, empty writable layer on top. kAlreadyExists when the container has one.
  absl::StatusOr<RootfsView> Prepare(absl::string_view container_id, const oci::ChainId& chain_id,
                                     Owner owner);
  // View() with the writable layer that Prepare() made before.
  absl::StatusOr<RootfsView> ContainerView(absl::string_view container_id,
                                           const oci::ChainId& chain_id) const;
  // Of the volumes of the container, beside its writable layer and removed with it.
  std::string VolumesDirectory(absl::string_view container_id) const;
  // Ids of containers with a writable layer; crispd removes those without a record at start.
  absl::StatusOr<std::vector<std::string>> Containers() const;
  // OK when there is none. The space is freed in the background.
  absl::Status RemoveContainer(absl::string_view container_id);
  // What the container writes to, to be measured (usage_walk.h): the upper directory of its
  // writable layer, and the directory of its volumes if it has some. kNotFound for a container
  // without a writable layer.
  absl::StatusOr<std::vector<base::UniqueFd>> OpenContainer(absl::string_view container_id) const;

  // What Open() moved aside, this time or earlier. The caller knows when no container runs on it.
  DamagedLayers& damaged();

  // The sum over all layers, the damaged ones too, from their records.
  Usage LayersUsage() const;

 private:
  struct State;
  explicit SnapshotStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace crisp::snapshot
