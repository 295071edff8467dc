#include "image/pull_error.h"

#include "absl/strings/str_cat.h"

namespace crisp::image {

absl::Status PullError(const absl::Status& status, const oci::Reference& reference) {
  const std::string message = absl::StrCat("pull ", reference.ToString(), ": ", status.message());
  if (!absl::IsUnavailable(status)) return absl::Status(status.code(), message);
  return absl::UnavailableError(absl::StrCat("RegistryUnavailable: ", message));
}

}  // namespace crisp::image
