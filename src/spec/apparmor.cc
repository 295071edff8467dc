#include "spec/apparmor.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "spec/deprecated_fields.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kAppArmorField[] = "apparmor";

absl::StatusOr<v1::SecurityProfile> Choice(const v1::LinuxContainerSecurityContext& context) {
  if (context.has_apparmor()) return context.apparmor();
  v1::SecurityProfile profile;  // RuntimeDefault
  absl::string_view name = AppArmorProfileName(context);
  if (name == "unconfined") {
    profile.set_profile_type(v1::SecurityProfile::Unconfined);
  } else if (absl::ConsumePrefix(&name, "localhost/")) {
    profile.set_profile_type(v1::SecurityProfile::Localhost);
    profile.set_localhost_ref(std::string(name));
  } else if (!name.empty() && name != "runtime/default") {
    return Invalid("apparmor_profile", name, "is no profile");
  }
  return profile;
}

bool IsLoaded(const AppArmorHost& host, absl::string_view name) {
  const std::vector<absl::string_view> lines = absl::StrSplit(host.profiles, '\n');
  return std::any_of(lines.begin(), lines.end(), [&](absl::string_view line) {
    return absl::StartsWith(line, absl::StrCat(name, " ("));
  });
}

}  // namespace

AppArmorHost ReadAppArmorHost() {
  AppArmorHost host;
  const absl::StatusOr<std::string> enabled =
      base::ReadFile("/sys/module/apparmor/parameters/enabled");
  host.enabled = enabled.ok() && absl::StartsWith(*enabled, "Y");
  if (!host.enabled) return host;
  // Unreadable is like empty: no profile counts as loaded.
  absl::StatusOr<std::string> profiles = base::ReadFile("/sys/kernel/security/apparmor/profiles");
  if (profiles.ok()) host.profiles = *std::move(profiles);
  return host;
}

absl::StatusOr<std::string> AppArmorProfile(const v1::LinuxContainerSecurityContext& context,
                                            const AppArmorHost& host) {
  CRISP_ASSIGN_OR_RETURN(const v1::SecurityProfile profile, Choice(context));
  switch (profile.profile_type()) {
    case v1::SecurityProfile::RuntimeDefault:
      if (!host.enabled || context.privileged()) return std::string();
      return std::string(kDefaultAppArmorProfile);
    case v1::SecurityProfile::Unconfined:
      return std::string();
    case v1::SecurityProfile::Localhost:
      break;
    default:
      return Invalid("apparmor.profile_type", profile.profile_type(), "is no type");
  }
  absl::string_view name = profile.localhost_ref();
  absl::ConsumePrefix(&name, "localhost/");
  constexpr size_t kMaxName = 1024;
  CRISP_RETURN_IF_ERROR(CheckText("apparmor.localhost_ref", name, kMaxName));
  if (name.empty()) return Invalid("apparmor.localhost_ref", name, "names no profile");
  if (context.privileged()) return std::string();
  if (!host.enabled) {
    return absl::FailedPreconditionError(
        absl::StrCat(kAppArmorField, " \"", name, "\": the host has no AppArmor"));
  }
  if (!IsLoaded(host, name)) {
    return absl::FailedPreconditionError(
        absl::StrCat(kAppArmorField, " \"", name, "\": the profile is not loaded"));
  }
  return std::string(name);
}

}  // namespace crisp::spec
