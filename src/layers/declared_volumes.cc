#include "layers/declared_volumes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "linux/overlay.h"
#include "linux/rootfs_path.h"
#include "snapshot/copy_tree.h"

namespace crisp::layers {
namespace {

// `root` is invalid for an image without layers.
absl::Status MakeVolume(const base::UniqueFd& root, const spec::DeclaredVolume& volume,
                        const snapshot::UnpackLimits& limits) {
  CRISP_RETURN_IF_ERROR(base::MakeDirs(volume.host_path, 0755));
  // Independent of crispd's umask.
  if (chmod(volume.host_path.c_str(), 0755) != 0) return base::Errno("chmod", volume.host_path);
  if (!root.valid()) return absl::OkStatus();
  const absl::StatusOr<base::UniqueFd> seed =
      linux::OpenInRoot(root.get(), volume.container_path, O_PATH | O_DIRECTORY);
  if (absl::IsNotFound(seed.status())) return absl::OkStatus();
  if (absl::IsResourceExhausted(seed.status())) return seed.status();
  if (!seed.ok()) return absl::InvalidArgumentError(seed.status().message());
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd directory,
                         base::Open(volume.host_path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  snapshot::SpaceGuard guard(directory.get(), limits);
  return snapshot::CopyTree(seed->get(), directory.get(), guard);
}

}  // namespace

absl::StatusOr<std::vector<spec::DeclaredVolume>> PlaceVolumes(
    const snapshot::SnapshotStore& snapshots, absl::string_view container_id,
    const ::runtime::v1::ContainerConfig& config, const oci::ImageConfig& image) {
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> paths, spec::DeclaredPaths(config, image));
  std::vector<spec::DeclaredVolume> volumes;
  for (const std::string& path : paths)
    volumes.push_back({path, snapshots.VolumeDirectory(container_id, volumes.size())});
  return volumes;
}

absl::Status MakeVolumes(const snapshot::SnapshotStore& snapshots,
                         const snapshot::RootfsView& image,
                         const std::vector<spec::DeclaredVolume>& volumes) {
  base::UniqueFd root;
  if (!volumes.empty() && !image.lowers.empty()) {
    CRISP_ASSIGN_OR_RETURN(root, linux::OpenOverlay(image.base, image.lowers));
  }
  for (const spec::DeclaredVolume& volume : volumes) {
    CRISP_RETURN_IF_ERROR(
        base::Prefix(MakeVolume(root, volume, snapshots.limits()),
                     absl::StrCat("volume \"", volume.container_path, "\" of the image")));
    CRISP_FAILPOINT("create container: a volume made");
  }
  return absl::OkStatus();
}

}  // namespace crisp::layers
