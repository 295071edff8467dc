#include "linux/apparmor.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "linux/spawn.h"

namespace crisp::linux {

bool AppArmor::IsLoaded(absl::string_view profile) const {
  const std::vector<absl::string_view> lines = absl::StrSplit(profiles, '\n');
  return std::any_of(lines.begin(), lines.end(), [&](absl::string_view line) {
    return absl::StartsWith(line, absl::StrCat(profile, " ("));
  });
}

AppArmor ReadAppArmor() {
  AppArmor host;
  const absl::StatusOr<std::string> enabled =
      base::ReadFile("/sys/module/apparmor/parameters/enabled");
  host.enabled = enabled.ok() && absl::StartsWith(*enabled, "Y");
  if (!host.enabled) return host;
  absl::StatusOr<std::string> profiles = base::ReadFile("/sys/kernel/security/apparmor/profiles");
  if (profiles.ok()) host.profiles = *std::move(profiles);
  return host;
}

absl::Status LoadAppArmorPolicy(absl::string_view policy, base::Deadline deadline) {
  std::string parser;
  for (const char* place : {"/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"}) {
    if (parser.empty() && access(place, X_OK) == 0) parser = place;
  }
  if (parser.empty()) return absl::NotFoundError("apparmor_parser is not installed");
  CRISP_ASSIGN_OR_RETURN(const RunResult result,
                         Run({.path = parser,
                              .args = {"apparmor_parser", "--replace", "--skip-cache", "--quiet"},
                              .env = {}},
                             policy, {.deadline = deadline}));
  if (result.signal == 0 && result.exit_code == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("apparmor_parser: ", result.err.substr(0, result.err.find('\n'))));
}

}  // namespace crisp::linux
