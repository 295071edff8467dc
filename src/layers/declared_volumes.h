// Volumes that an image declares (VOLUME of a Dockerfile): directories outside of the overlay, as
// databases and container engines need them. Each lies beside the container's writable layer, on
// the same file system, begins with what the image has at its path, and is removed with the
// container. Thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "snapshot/rootfs_view.h"
#include "snapshot/snapshot_store.h"
#include "spec/container_mounts.h"

namespace crisp::layers {

struct DeclaredVolumes {
  std::string image;    // its name, for messages
  base::UniqueFd root;  // of the image; invalid: it has no layers, or no volumes
  std::vector<spec::DeclaredVolume> places;  // sorted by path
};

// The volumes that the container is to have (spec::DeclaredPaths, with links as the image has
// them), and where they will lie. `rootfs` is the image, read-only and without the container's
// layer. kInvalidArgument for a path that is not a directory in the image.
absl::StatusOr<DeclaredVolumes> PlaceVolumes(const snapshot::SnapshotStore& snapshots,
                                             absl::string_view container_id,
                                             const ::runtime::v1::ContainerConfig& config,
                                             const oci::ImageConfig& image,
                                             const snapshot::RootfsView& rootfs);

// Makes them, after snapshots.Prepare(): a copy of the image's directory with owner and mode, or an
// empty one of root's where the image has none. What lies below another volume is left out, as that
// is mounted over it; so all of them together have each file of the image once. `proceed` is asked
// again and again; its error ends the copying. kResourceExhausted when the disk has too little room
// (and see snapshot::TreeCopier). What an error or a crash leaves is removed with the container.
absl::Status MakeVolumes(const snapshot::SnapshotStore& snapshots, absl::string_view container_id,
                         const DeclaredVolumes& volumes,
                         const std::function<absl::Status()>& proceed);

}  // namespace crisp::layers
