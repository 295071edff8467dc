#include "layers/image_volumes.h"

#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "linux/overlay.h"
#include "linux/rootfs_path.h"
#include "spec/container_mounts.h"

namespace crisp::layers {
namespace {

constexpr char kErrorPrefix[] = "ImageVolumeMountFailed";

absl::StatusOr<store::ImageVolume> FindImageVolume(const image::ImageStore& images,
                                                   const std::string& field,
                                                   const ::runtime::v1::Mount& mount) {
  CRISP_ASSIGN_OR_RETURN(const spec::ImageVolume asked, spec::ImageMount(field, mount));
  CRISP_ASSIGN_OR_RETURN(const image::ImagePtr image, images.Find(asked.image));
  return store::ImageVolume{.container_path = asked.container_path,
                            .image_id = image->id.str(),
                            .chain_ids = ChainIds(*image),
                            .sub_path = asked.sub_path,
                            .noexec = asked.noexec};
}

// `image` is what the manifest calls it.
absl::Status CheckSubPath(const snapshot::SnapshotStore& snapshots, const std::string& image,
                          const store::ImageVolume& volume) {
  CRISP_ASSIGN_OR_RETURN(const snapshot::RootfsView view, snapshots.View(volume.chain_ids.back()));
  if (volume.sub_path.empty()) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd root, linux::OpenOverlay(view.base, view.lowers));
  const absl::Status opened =
      linux::OpenInRoot(root.get(), volume.sub_path, O_PATH | O_DIRECTORY).status();
  if (opened.ok() || absl::IsResourceExhausted(opened)) return opened;
  const bool is_file = linux::OpenInRoot(root.get(), volume.sub_path, O_PATH).ok();
  return absl::InvalidArgumentError(absl::StrCat("subPath \"", base::Printable(volume.sub_path),
                                                 "\" ",
                                                 absl::IsNotFound(opened) ? "does not exist"
                                                 : is_file                ? "is a file"
                                                                          : "leads nowhere",
                                                 " in image ", image));
}

}  // namespace

std::string NameInManifest(const ::runtime::v1::ImageSpec& image) {
  return base::Printable(image.user_specified_image().empty() ? image.image()
                                                              : image.user_specified_image());
}

std::vector<oci::ChainId> ChainIds(const image::Image& image) {
  std::vector<oci::ChainId> chain_ids;
  for (const image::Layer& layer : image.layers) chain_ids.push_back(layer.chain_id);
  return chain_ids;
}

std::vector<oci::ChainId> UsedLayers(const store::ContainerRecord& record) {
  std::vector<oci::ChainId> layers = record.chain_ids;
  for (const store::ImageVolume& volume : record.image_volumes)
    layers.insert(layers.end(), volume.chain_ids.begin(), volume.chain_ids.end());
  return layers;
}

absl::StatusOr<std::vector<store::ImageVolume>> FindImageVolumes(
    const image::ImageStore& images, const ::runtime::v1::ContainerConfig& config) {
  std::vector<store::ImageVolume> volumes;
  for (int i = 0; i < config.mounts_size(); ++i) {
    if (!config.mounts(i).has_image()) continue;
    absl::StatusOr<store::ImageVolume> volume =
        FindImageVolume(images, absl::StrCat("volumeMounts[", i, "]"), config.mounts(i));
    if (!volume.ok()) return base::Prefix(volume.status(), kErrorPrefix);
    volumes.push_back(*std::move(volume));
  }
  return volumes;
}

absl::Status CheckImageVolumes(const snapshot::SnapshotStore& snapshots,
                               const ::runtime::v1::ContainerConfig& config,
                               const std::vector<store::ImageVolume>& volumes) {
  auto volume = volumes.begin();
  for (const ::runtime::v1::Mount& mount : config.mounts()) {
    if (!mount.has_image()) continue;
    CRISP_RETURN_IF_ERROR(base::Prefix(
        CheckSubPath(snapshots, NameInManifest(mount.image()), *volume++), kErrorPrefix));
  }
  return absl::OkStatus();
}

void FillRootfs(const snapshot::RootfsView& view, shim::v1::Rootfs& rootfs) {
  rootfs.set_base(view.base);
  for (const std::string& lower : view.lowers) rootfs.add_lowers(lower);
  rootfs.set_upper(view.upper);
  rootfs.set_work(view.work);
}

absl::Status AddImageMounts(const snapshot::SnapshotStore& snapshots,
                            const std::vector<store::ImageVolume>& volumes,
                            shim::v1::Start& start) {
  for (const store::ImageVolume& volume : volumes) {
    CRISP_ASSIGN_OR_RETURN(const snapshot::RootfsView view,
                           snapshots.View(volume.chain_ids.back()));
    shim::v1::ImageMount& mount = *start.add_image_mounts();
    mount.set_destination(volume.container_path);
    mount.set_sub_path(volume.sub_path);
    mount.set_noexec(volume.noexec);
    FillRootfs(view, *mount.mutable_rootfs());
  }
  return absl::OkStatus();
}

}  // namespace crisp::layers
