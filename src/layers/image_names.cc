#include "layers/image_names.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "oci/reference.h"

namespace crisp::layers {
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

ImageNames NamesFor(const image::Image& image, const ::runtime::v1::ImageSpec& asked) {
  // kubelet asks by id and has the user's words beside it.
  const absl::StatusOr<oci::Reference> reference = oci::Reference::Parse(
      asked.user_specified_image().empty() ? asked.image() : asked.user_specified_image());
  ImageNames names{.name = Closest(image.repo_tags, reference),
                   .ref = Closest(image.repo_digests, reference)};
  if (names.ref.empty()) names.ref = image.id.str();
  if (names.name.empty()) names.name = names.ref;
  return names;
}

}  // namespace crisp::layers
