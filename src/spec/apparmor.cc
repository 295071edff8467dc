#include "spec/apparmor.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "spec/apparmor_default.h"
#include "spec/deprecated_fields.h"
#include "spec/fields.h"
#include "spec/privileged.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kAppArmorField[] = "appArmorProfile";

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
    return Invalid("apparmor_profile", name,
                   "must be runtime/default, unconfined or localhost/<profile>");
  }
  return profile;
}

absl::Status NotLoaded(absl::string_view name) {
  return absl::FailedPreconditionError(
      absl::StrCat(kAppArmorField, " \"", name, "\": the profile is not loaded"));
}

}  // namespace

absl::StatusOr<std::string> AppArmorProfile(const v1::LinuxContainerSecurityContext& context,
                                            const linux::AppArmor& host) {
  CRISP_ASSIGN_OR_RETURN(const v1::SecurityProfile profile, Choice(context));
  switch (profile.profile_type()) {
    case v1::SecurityProfile::RuntimeDefault:
      if (!host.enabled || IsPrivileged(context)) return std::string();
      if (host.IsLoaded(kDefaultAppArmorProfile)) return std::string(kDefaultAppArmorProfile);
      if (context.has_apparmor() || !AppArmorProfileName(context).empty()) {
        return NotLoaded(kDefaultAppArmorProfile);
      }
      return std::string();
    case v1::SecurityProfile::Unconfined:
      return std::string();
    case v1::SecurityProfile::Localhost:
      break;
    default:
      return Invalid("appArmorProfile.type", profile.profile_type(), "is not a profile type");
  }
  absl::string_view name = profile.localhost_ref();
  absl::ConsumePrefix(&name, "localhost/");
  constexpr size_t kMaxName = 1024;
  CRISP_RETURN_IF_ERROR(CheckText("appArmorProfile.localhostProfile", name, kMaxName));
  if (name.empty()) return Invalid("appArmorProfile.localhostProfile", name, "must name a profile");
  if (IsPrivileged(context)) return std::string();
  if (!host.enabled) {
    return absl::FailedPreconditionError(
        absl::StrCat(kAppArmorField, " \"", name, "\": the host has no AppArmor"));
  }
  if (!host.IsLoaded(name)) return NotLoaded(name);
  return std::string(name);
}

}  // namespace crisp::spec
