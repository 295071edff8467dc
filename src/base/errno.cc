#include "base/errno.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace crisp::base {

std::string ErrnoText(int error) {
  const char* name = strerrorname_np(error);
  const char* words = strerrordesc_np(error);
  if (name == nullptr || words == nullptr) return absl::StrCat("errno ", error);
  std::string text = words;
  // The first word in lower case, unless it is an abbreviation ("RPC struct is bad").
  if (text.size() > 1 && absl::ascii_islower(static_cast<unsigned char>(text[1])))
    text[0] = absl::ascii_tolower(static_cast<unsigned char>(text[0]));
  return absl::StrCat(text, " (", name, ")");
}

absl::Status Errno(absl::string_view operation, absl::string_view subject, int error) {
  return absl::Status(
      absl::ErrnoToStatusCode(error),
      absl::StrCat(operation, subject.empty() ? "" : " ", subject, ": ", ErrnoText(error)));
}

absl::Status Prefix(const absl::Status& status, absl::string_view prefix) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(prefix, ": ", status.message()));
}

}  // namespace crisp::base
