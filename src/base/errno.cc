#include "base/errno.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace crisp::base {

std::string ErrnoName(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : absl::StrCat("errno ", error);
}

absl::Status Errno(absl::string_view operation, absl::string_view subject, int error) {
  return absl::Status(
      absl::ErrnoToStatusCode(error),
      absl::StrCat(operation, subject.empty() ? "" : " ", subject, ": ", ErrnoName(error)));
}

absl::Status Prefix(const absl::Status& status, absl::string_view prefix) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(prefix, ": ", status.message()));
}

}  // namespace crisp::base
