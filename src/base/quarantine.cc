#include "base/quarantine.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::base {
namespace {

// The time in a name that MoveToQuarantine() gives, 0 in any other.
int64_t QuarantinedAt(absl::string_view name) {
  int64_t at = 0;
  const size_t dash = name.rfind('-');
  return dash != name.npos && absl::SimpleAtoi(name.substr(dash + 1), &at) ? at : 0;
}

}  // namespace

absl::StatusOr<std::string> MoveToQuarantine(const std::string& from, const std::string& directory,
                                             absl::string_view name) {
  CRISP_RETURN_IF_ERROR(MakeDirs(directory, 0700));
  // With the time, so that it does not replace an earlier one of that name.
  const std::string to = JoinPath(directory, absl::StrCat(name, "-", WallNanos()));
  if (rename(from.c_str(), to.c_str()) != 0) return Errno("move to quarantine", from);
  return to;
}

void LimitQuarantine(const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = ListDir(directory);
  if (!names.ok() || names->size() <= kMaxQuarantined) return;
  const auto first_to_stay = names->end() - kMaxQuarantined;
  std::nth_element(names->begin(), first_to_stay, names->end(),
                   [](const std::string& a, const std::string& b) {
                     return QuarantinedAt(a) < QuarantinedAt(b);
                   });
  for (auto name = names->begin(); name != first_to_stay; ++name)
    (void)RemoveTree(JoinPath(directory, *name));  // tried again the next time
}

}  // namespace crisp::base
