#include "layers/declared_volumes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "layers/image_volumes.h"
#include "linux/overlay.h"
#include "linux/rootfs_path.h"
#include "snapshot/copy_tree.h"

namespace crisp::layers {
namespace {

std::string Name(const std::string& path, const std::string& image) {
  return absl::StrCat("volume \"", base::Printable(path), "\" of image ", image);
}

// Where a mount at `path` would be. kInvalidArgument in the words of whoever knows the image.
absl::StatusOr<std::string> Resolve(int root, const std::string& path) {
  absl::StatusOr<std::string> place = linux::ResolveInRoot(root, path);
  if (place.ok() || absl::IsResourceExhausted(place.status())) return place;
  const absl::StatusOr<base::UniqueFd> there = linux::OpenInRoot(root, path, O_PATH);
  return absl::InvalidArgumentError(there.ok() ? "is a file in the image"
                                               : "leads through a file or too many links");
}

// `directory` has the volumes, each under its own name.
absl::Status MakeVolume(const DeclaredVolumes& volumes, const spec::DeclaredVolume& volume,
                        int directory, snapshot::TreeCopier& copier) {
  const std::string name = volume.host_path.substr(volume.host_path.rfind('/') + 1);
  // Independent of crispd's umask.
  if (mkdirat(directory, name.c_str(), 0755) != 0 ||
      fchmodat(directory, name.c_str(), 0755, 0) != 0)
    return base::Errno("make", "");
  if (!volumes.root.valid()) return absl::OkStatus();
  const absl::StatusOr<base::UniqueFd> seed = linux::OpenInRoot(
      volumes.root.get(), volume.container_path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (absl::IsNotFound(seed.status())) return absl::OkStatus();
  if (!seed.ok()) return seed.status();
  return copier.Copy(seed->get(), name, [&](absl::string_view below) {
    const std::string path = absl::StrCat(volume.container_path, below);
    return std::any_of(volumes.places.begin(), volumes.places.end(),
                       [&](const auto& other) { return other.container_path == path; });
  });
}

}  // namespace

absl::StatusOr<DeclaredVolumes> PlaceVolumes(const snapshot::SnapshotStore& snapshots,
                                             absl::string_view container_id,
                                             const ::runtime::v1::ContainerConfig& config,
                                             const oci::ImageConfig& image,
                                             const snapshot::RootfsView& rootfs) {
  DeclaredVolumes volumes;
  if (image.volumes.empty()) return volumes;
  volumes.image = NameInManifest(config.image());
  if (!rootfs.lowers.empty()) {
    CRISP_ASSIGN_OR_RETURN(volumes.root, linux::OpenOverlay(rootfs.base, rootfs.lowers));
  }
  const auto resolve = [&](const std::string& path) -> absl::StatusOr<std::string> {
    if (!volumes.root.valid()) return path;
    absl::StatusOr<std::string> place = Resolve(volumes.root.get(), path);
    if (!place.ok()) return base::Prefix(place.status(), Name(path, volumes.image));
    return place;
  };
  CRISP_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                         spec::DeclaredPaths(config, image, resolve));
  for (const std::string& path : paths) {
    volumes.places.push_back(
        {path, absl::StrCat(snapshots.VolumesDirectory(container_id), "/", volumes.places.size())});
  }
  return volumes;
}

absl::Status MakeVolumes(const snapshot::SnapshotStore& snapshots, absl::string_view container_id,
                         const DeclaredVolumes& volumes,
                         const std::function<absl::Status()>& proceed) {
  if (volumes.places.empty()) return absl::OkStatus();
  const std::string path = snapshots.VolumesDirectory(container_id);
  if (mkdir(path.c_str(), 0700) != 0) return base::Errno("make the directory of the volumes", "");
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd directory, base::Open(path, O_RDONLY | O_DIRECTORY));
  snapshot::TreeCopier copier(directory.get(), snapshots.limits(), proceed);
  for (const spec::DeclaredVolume& volume : volumes.places) {
    CRISP_RETURN_IF_ERROR(base::Prefix(MakeVolume(volumes, volume, directory.get(), copier),
                                       Name(volume.container_path, volumes.image)));
    base::Failpoint("create container: a volume made");
  }
  return absl::OkStatus();
}

}  // namespace crisp::layers
