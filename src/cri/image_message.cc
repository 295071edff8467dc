#include "cri/image_message.h"

#include "absl/strings/numbers.h"

namespace crisp::cri {

::runtime::v1::Image ImageMessage(const image::Image& image) {
  ::runtime::v1::Image message;
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

}  // namespace crisp::cri
