#include "base/clean_path.h"

#include <limits.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace crisp::base {

absl::StatusOr<std::vector<absl::string_view>> SplitPath(absl::string_view path) {
  if (path.size() >= PATH_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be at most ", PATH_MAX - 1, " bytes long"));
  }
  if (absl::StrContains(path, '\0')) return absl::InvalidArgumentError("must not contain NUL");
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

}  // namespace crisp::base
