#include "spec/security_profile.h"

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "oci/reference.h"
#include "spec/fields.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kSeccomp[] = "seccompProfile";
constexpr char kAppArmor[] = "appArmorProfile";

// What only an artifact has.
absl::Status CheckNoArtifact(absl::string_view field, const v1::SecurityProfile& profile) {
  constexpr char kWhy[] = "is only possible with the type OCI";
  if (!profile.oci_ref().empty())
    return Invalid(absl::StrCat(field, ".oci.reference"), profile.oci_ref(), kWhy);
  if (profile.has_base_profile()) {
    return Invalid(absl::StrCat(field, ".oci.baseProfile"),
                   profile.base_profile().ShortDebugString(), kWhy);
  }
  return absl::OkStatus();
}

absl::Status CheckBase(const v1::SecurityProfileBase& base) {
  const std::string field = absl::StrCat(kSeccomp, ".oci.baseProfile");
  if (!v1::SecurityProfileBase::BaseType_IsValid(base.type()))
    return Invalid(absl::StrCat(field, ".type"), base.type(), "is not a profile type");
  if (base.type() == v1::SecurityProfileBase::RuntimeDefault && !base.localhost_ref().empty()) {
    return Invalid(absl::StrCat(field, ".localhostProfile"), base.localhost_ref(),
                   "is only possible with the type Localhost");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSeccompField(const v1::SecurityProfile& profile) {
  if (profile.profile_type() != v1::SecurityProfile::OCI) return CheckNoArtifact(kSeccomp, profile);
  const std::string field = absl::StrCat(kSeccomp, ".oci.reference");
  const absl::StatusOr<oci::Reference> reference = oci::Reference::Parse(profile.oci_ref());
  if (!reference.ok()) return base::Prefix(reference.status(), field);
  if (reference->digest().empty())
    return Invalid(field, profile.oci_ref(), "must name the profile by its digest");
  return CheckBase(profile.base_profile());
}

absl::Status CheckAppArmorField(const v1::SecurityProfile& profile) {
  if (profile.profile_type() == v1::SecurityProfile::OCI)
    return Invalid(absl::StrCat(kAppArmor, ".type"), "OCI", "is only possible for seccomp");
  return CheckNoArtifact(kAppArmor, profile);
}

}  // namespace crisp::spec
