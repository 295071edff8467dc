#include "base/clean_path.h"

#include <limits.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace crisp::base {

namespace {

absl::Status CheckBytes(absl::string_view path) {
  if (path.size() >= PATH_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be at most ", PATH_MAX - 1, " bytes long"));
  }
  if (absl::StrContains(path, '\0')) return absl::InvalidArgumentError("must not contain NUL");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<absl::string_view>> SplitPath(absl::string_view path) {
  CRISP_RETURN_IF_ERROR(CheckBytes(path));
  std::vector<absl::string_view> names;
  for (const absl::string_view name : absl::StrSplit(path, '/')) {
    if (name.empty() || name == ".") continue;
    if (name == "..") return absl::InvalidArgumentError("must not contain \"..\"");
    names.push_back(name);
  }
  return names;
}

absl::StatusOr<std::string> CleanPath(absl::string_view path) {
  CRISP_ASSIGN_OR_RETURN(const std::vector<absl::string_view> names, SplitPath(path));
  return absl::StrCat(absl::StartsWith(path, "/") ? "/" : "", absl::StrJoin(names, "/"));
}

absl::StatusOr<std::string> CleanRootedPath(absl::string_view path) {
  CRISP_RETURN_IF_ERROR(CheckBytes(path));
  std::vector<absl::string_view> names;
  for (const absl::string_view name : absl::StrSplit(path, '/')) {
    if (name.empty() || name == ".") continue;
    if (name != "..") {
      names.push_back(name);
    } else if (!names.empty()) {
      names.pop_back();
    }
  }
  return absl::StrCat("/", absl::StrJoin(names, "/"));
}

}  // namespace crisp::base
