#include "cri/image_message.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "oci/reference.h"

namespace crisp::cri {
namespace {

// Empty when there are none.
std::string Closest(const std::vector<std::string>& names,
                    const absl::StatusOr<oci::Reference>& asked) {
  if (names.empty()) return "";
  if (!asked.ok()) return names.front();
  auto found = std::find(names.begin(), names.end(), asked->ToString());
  if (found == names.end()) {
    found = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return absl::StartsWith(name, absl::StrCat(asked->Name(), ":")) ||
             absl::StartsWith(name, absl::StrCat(asked->Name(), "@"));
    });
  }
  return found == names.end() ? names.front() : *found;
}

}  // namespace

runtime::v1::Image ImageMessage(const image::Image& image) {
  runtime::v1::Image message;
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

ImageNames NamesFor(const image::Image& image, const runtime::v1::ImageSpec& asked) {
  // kubelet asks by id and has the user's words beside it.
  const absl::StatusOr<oci::Reference> reference = oci::Reference::Parse(
      asked.user_specified_image().empty() ? asked.image() : asked.user_specified_image());
  ImageNames names{.name = Closest(image.repo_tags, reference),
                   .ref = Closest(image.repo_digests, reference)};
  if (names.ref.empty()) names.ref = image.id.str();
  if (names.name.empty()) names.name = names.ref;
  return names;
}

}  // namespace crisp::cri
