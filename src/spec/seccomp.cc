#include "spec/seccomp.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "spec/fields.h"
#include "spec/seccomp_default.h"
#include "spec/seccomp_profile_codec.h"

namespace crisp::spec {
namespace {

namespace v1 = ::runtime::v1;

constexpr char kLocalhost[] = "localhost/";

absl::StatusOr<v1::SecurityProfile> FromDeprecated(absl::string_view path) {
  v1::SecurityProfile profile;
  if (path.empty() || path == "unconfined") {
    profile.set_profile_type(v1::SecurityProfile::Unconfined);
  } else if (path == "runtime/default" || path == "docker/default") {
    profile.set_profile_type(v1::SecurityProfile::RuntimeDefault);
  } else if (absl::ConsumePrefix(&path, kLocalhost)) {
    profile.set_profile_type(v1::SecurityProfile::Localhost);
    profile.set_localhost_ref(std::string(path));
  } else {
    return Invalid("seccomp_profile_path", path,
                   "must be runtime/default, unconfined or localhost/<path>");
  }
  return profile;
}

absl::StatusOr<std::string> ReadProfile(absl::string_view field, absl::string_view reference) {
  constexpr size_t kMaxProfile = 1 << 20;
  // From the time when a profile was one word; containerd takes it, too.
  absl::ConsumePrefix(&reference, kLocalhost);
  CRISP_ASSIGN_OR_RETURN(const std::string path, CleanAbsolute(field, reference));
  // O_NONBLOCK and O_NOCTTY: opening a FIFO or a terminal must not block CreateContainer.
  absl::StatusOr<base::UniqueFd> file = base::Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file.ok()) return Invalid(field, reference, std::string(file.status().message()));
  struct stat info;
  if (fstat(file->get(), &info) != 0) return base::Errno("stat", path);
  if (!S_ISREG(info.st_mode)) return Invalid(field, reference, "is not a regular file");
  absl::StatusOr<std::string> text = base::ReadAll(file->get(), kMaxProfile);
  if (!text.ok()) return base::Prefix(text.status(), absl::StrCat(field, " \"", path, "\""));
  return text;
}

// The profile that an artifact is merged with, as one that stands alone.
v1::SecurityProfile BaseOf(const v1::SecurityProfile& artifact) {
  v1::SecurityProfile base;  // RuntimeDefault
  if (artifact.base_profile().type() == v1::SecurityProfileBase::Localhost) {
    base.set_profile_type(v1::SecurityProfile::Localhost);
    base.set_localhost_ref(artifact.base_profile().localhost_ref());
  }
  return base;
}

}  // namespace

absl::StatusOr<std::optional<oci::Seccomp>> SelectSeccomp(const v1::SecurityProfile* profile,
                                                          absl::string_view deprecated_path,
                                                          const oci::Capabilities& capabilities) {
  v1::SecurityProfile choice;
  std::string field = "seccompProfile.localhostProfile";
  if (profile != nullptr && profile->profile_type() == v1::SecurityProfile::OCI) {
    choice = BaseOf(*profile);
    field = "seccompProfile.oci.baseProfile.localhostProfile";
  } else if (profile != nullptr) {
    choice = *profile;
  } else {
    CRISP_ASSIGN_OR_RETURN(choice, FromDeprecated(deprecated_path));
  }
  switch (choice.profile_type()) {
    case v1::SecurityProfile::RuntimeDefault:
      return DefaultSeccomp(capabilities);
    case v1::SecurityProfile::Unconfined:
      return std::nullopt;
    case v1::SecurityProfile::Localhost:
      break;
    default:
      return Invalid("seccompProfile.type", choice.profile_type(), "is not a profile type");
  }
  CRISP_ASSIGN_OR_RETURN(const std::string text, ReadProfile(field, choice.localhost_ref()));
  absl::StatusOr<oci::Seccomp> decoded =
      DecodeSeccompProfile(text, capabilities, ThisSeccompHost());
  if (!decoded.ok()) {
    return base::Prefix(decoded.status(), absl::StrCat(field, " \"", choice.localhost_ref(), "\""));
  }
  return *std::move(decoded);
}

absl::StatusOr<std::optional<oci::Seccomp>> ArtifactSeccomp(
    const v1::SecurityProfile& profile, const std::optional<std::string>& document,
    const oci::Capabilities& capabilities) {
  if (profile.profile_type() != v1::SecurityProfile::OCI) return std::nullopt;
  const std::string name = absl::StrCat("seccompProfile.oci.reference \"",
                                        base::Printable(profile.oci_ref(), 300), "\"");
  if (!document.has_value())
    return absl::FailedPreconditionError(absl::StrCat(name, ": the profile was not pulled"));
  absl::StatusOr<oci::Seccomp> decoded =
      DecodeSeccompProfile(*document, capabilities, ThisSeccompHost());
  if (!decoded.ok()) return base::Prefix(decoded.status(), name);
  return *std::move(decoded);
}

absl::Status CheckSeccompArtifact(absl::string_view document) {
  CRISP_ASSIGN_OR_RETURN(const oci::Seccomp profile,
                         DecodeSeccompProfile(document, oci::Capabilities(), ThisSeccompHost()));
  return CompileSeccomp(profile).status();
}

}  // namespace crisp::spec
