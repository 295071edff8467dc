// PullSecurityProfile, ListSecurityProfiles, RemoveSecurityProfile.
#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/handlers.h"
#include "cri/pull_credentials.h"

namespace crisp::cri {

absl::StatusOr<v1::PullSecurityProfileResponse> PullSecurityProfile(
    const Api& runtime, const v1::PullSecurityProfileRequest& request, const Call& call) {
  CRISP_RETURN_IF_ERROR(runtime.handlers.Find(request.image().runtime_handler()).status());
  if (request.profile_kind() != v1::Seccomp) {
    const std::string kind = v1::SecurityProfileKind_Name(request.profile_kind());
    return absl::InvalidArgumentError(
        absl::StrCat("SecurityProfileInvalid: profile_kind \"",
                     kind.empty() ? absl::StrCat(static_cast<int>(request.profile_kind())) : kind,
                     "\": must be Seccomp"));
  }
  absl::StatusOr<image::Credentials> credentials = CredentialsOf(request.auth());
  if (!credentials.ok()) return base::Prefix(credentials.status(), "auth.auth");
  CRISP_ASSIGN_OR_RETURN(const bool present,
                         runtime.profiles.Pull(request.image().image(), *credentials, call));
  v1::PullSecurityProfileResponse response;
  response.set_cached(present);
  return response;
}

absl::StatusOr<v1::ListSecurityProfilesResponse> ListSecurityProfiles(
    const Api& runtime, const v1::ListSecurityProfilesRequest&, const Call&) {
  v1::ListSecurityProfilesResponse response;
  for (const runtime::ProfileInfo& profile : runtime.profiles.List()) {
    v1::SecurityProfileInfo& message = *response.add_profiles();
    message.set_digest(profile.digest);
    for (const std::string& name : profile.names) message.add_refs(name);
    message.set_size(profile.bytes);
  }
  return response;
}

absl::StatusOr<v1::RemoveSecurityProfileResponse> RemoveSecurityProfile(
    const Api& runtime, const v1::RemoveSecurityProfileRequest& request, const Call&) {
  CRISP_RETURN_IF_ERROR(runtime.profiles.Remove(request.digest()));
  return v1::RemoveSecurityProfileResponse();
}

}  // namespace crisp::cri
