// /etc/passwd and /etc/group of images, as a container made from them sees them: read through a
// private, detached overlay mount (a symbolic link in one layer may lead into another), at most
// once per image while it is remembered. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "snapshot/rootfs_view.h"

namespace crisp::layers {

struct UserFiles {
  std::string passwd;  // empty when the image has none
  std::string group;
};

class ImageUsers {
 public:
  // `image_id` is the key under which the files are remembered. A file that is not regular or
  // larger than spec::kMaxUserFileBytes is kInvalidArgument.
  absl::StatusOr<std::shared_ptr<const UserFiles>> Read(const std::string& image_id,
                                                        const snapshot::RootfsView& view);

 private:
  // Small files of few images: the oldest entry goes when there are more.
  static constexpr size_t kMaxImages = 256;
  static constexpr size_t kMaxRememberedBytes = 64 << 10;
  absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<const UserFiles>> files_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::layers
