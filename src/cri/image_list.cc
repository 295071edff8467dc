// ListImages and ImageStatus.
#include "absl/strings/numbers.h"
#include "base/status_macros.h"
#include "cri/handlers.h"
#include "cri/info.h"

namespace crisp::cri {
namespace {

// Deterministic: whatever name the image was asked by, the answer is the same.
v1::Image ImageMessage(const image::Image& image) {
  v1::Image message;
  message.set_id(image.id.str());
  for (const std::string& tag : image.repo_tags) message.add_repo_tags(tag);
  for (const std::string& digest : image.repo_digests) message.add_repo_digests(digest);
  message.set_size(static_cast<uint64_t>(image.size));
  message.set_pinned(image.pinned);
  const std::string user = image.config.user.substr(0, image.config.user.find(':'));
  int64_t uid = 0;
  if (user.empty()) {
    message.mutable_uid()->set_value(0);
  } else if (absl::SimpleAtoi(user, &uid)) {
    message.mutable_uid()->set_value(uid);
  } else {
    message.set_username(user);
  }
  return message;
}

}  // namespace

absl::StatusOr<v1::ListImagesResponse> ListImages(const Api& runtime,
                                                  const v1::ListImagesRequest& request,
                                                  const Call&) {
  v1::ListImagesResponse response;
  const std::string& name = request.filter().image().image();
  if (name.empty()) {
    for (const image::ImagePtr& image : runtime.images.List())
      *response.add_images() = ImageMessage(*image);
    return response;
  }
  const absl::StatusOr<image::ImagePtr> image = runtime.images.Find(name);
  if (image.ok()) *response.add_images() = ImageMessage(**image);
  return response;
}

absl::StatusOr<v1::ImageStatusResponse> ImageStatus(const Api& runtime,
                                                    const v1::ImageStatusRequest& request,
                                                    const Call&) {
  if (request.image().image().empty())
    return absl::InvalidArgumentError("image.image: must not be empty");
  v1::ImageStatusResponse response;
  const absl::StatusOr<image::ImagePtr> image = runtime.images.Find(request.image().image());
  // An image that is absent, or a name that cannot be one, is an empty answer and not an error:
  // crictl and kubelet rely on it.
  if (!image.ok()) return response;
  *response.mutable_image() = ImageMessage(**image);
  if (request.verbose()) (*response.mutable_info())["info"] = ImageInfo(**image);
  return response;
}

}  // namespace crisp::cri
