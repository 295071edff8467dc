#include "base/clock.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::ImageFsInfoResponse> ImageFsInfo(const Api& runtime,
                                                    const v1::ImageFsInfoRequest&, const Call&) {
  const snapshot::Usage usage = runtime.stats.Layers();
  v1::ImageFsInfoResponse response;
  // Image layers and writable layers share one file system; kubelet wants it in both lists.
  for (v1::FilesystemUsage* fs :
       {response.add_image_filesystems(), response.add_container_filesystems()}) {
    fs->set_timestamp(base::WallNanos());
    fs->mutable_fs_id()->set_mountpoint(runtime.stats.LayersRoot());
    fs->mutable_used_bytes()->set_value(usage.bytes);
    fs->mutable_inodes_used()->set_value(usage.inodes);
  }
  return response;
}

}  // namespace crisp::cri
