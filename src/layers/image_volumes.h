// Images mounted into containers, read-only: found when the container is created, mounted by its
// shim. Errors begin with ImageVolumeMountFailed, which kubelet looks for.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "image/image_store.h"
#include "runtime/v1/api.pb.h"
#include "shim/v1/shim.pb.h"
#include "snapshot/snapshot_store.h"
#include "store/record.h"

namespace crisp::layers {

// What the manifest calls an image, for messages.
std::string NameInManifest(const ::runtime::v1::ImageSpec& image);

std::vector<oci::ChainId> ChainIds(const image::Image& image);
// Every layer the container stands on or has mounted.
std::vector<oci::ChainId> UsedLayers(const store::ContainerRecord& record);

// kNotFound for an image that is not pulled. The caller keeps the images' layers from being removed
// meanwhile.
absl::StatusOr<std::vector<store::ImageVolume>> FindImageVolumes(
    const image::ImageStore& images, const ::runtime::v1::ContainerConfig& config);

// Sub paths are directories in their images, whatever links lead there; kInvalidArgument otherwise.
absl::Status CheckImageVolumes(const snapshot::SnapshotStore& snapshots,
                               const ::runtime::v1::ContainerConfig& config,
                               const std::vector<store::ImageVolume>& volumes);

void FillRootfs(const snapshot::RootfsView& view, shim::v1::Rootfs& rootfs);
absl::Status AddImageMounts(const snapshot::SnapshotStore& snapshots,
                            const std::vector<store::ImageVolume>& volumes, shim::v1::Start& start);

}  // namespace crisp::layers
