// Volumes that an image declares (VOLUME of a Dockerfile): directories outside of the overlay, as
// databases and container engines need them. Each lies beside the container's writable layer, on
// the same file system, begins with what the image has at its path, and is removed with the
// container. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "snapshot/rootfs_view.h"
#include "snapshot/snapshot_store.h"
#include "spec/container_mounts.h"

namespace crisp::layers {

// The volumes that the container is to have (spec::DeclaredPaths), and where they will lie.
absl::StatusOr<std::vector<spec::DeclaredVolume>> PlaceVolumes(
    const snapshot::SnapshotStore& snapshots, absl::string_view container_id,
    const ::runtime::v1::ContainerConfig& config, const oci::ImageConfig& image);

// Makes them, after snapshots.Prepare(): a copy of the image's directory with owner and mode, or an
// empty one of root's where the image has none. `image` is read-only, without the container's
// layer. kInvalidArgument for a path that is not a directory in the image, kResourceExhausted when
// the disk has too little room. What an error or a crash leaves is removed with the container.
absl::Status MakeVolumes(const snapshot::SnapshotStore& snapshots,
                         const snapshot::RootfsView& image,
                         const std::vector<spec::DeclaredVolume>& volumes);

}  // namespace crisp::layers
