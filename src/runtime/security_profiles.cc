#include "runtime/security_profiles.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "image/artifact.h"
#include "spec/seccomp.h"

namespace crisp::runtime {
namespace {

constexpr char kSeccompType[] = "application/vnd.cncf.seccomp-profile.config.v1+json";
constexpr size_t kMaxProfileBytes = 1 << 20;  // as of a profile on the node
constexpr size_t kMaxNames = 1000;            // of one profile: its record is read as a whole

// Of its record: 64 hexadecimal digits, as records are found by at a start (store/record_store.h).
// Of SHA-512 the first half, which nobody can make equal to another profile's either.
std::string IdOf(const oci::Digest& digest) {
  constexpr size_t kDigits = 64;
  return std::string(digest.hex().substr(0, kDigits));
}

// kubelet looks for the word at the beginning, and does not ask again.
absl::Status Invalid(const absl::Status& why) {
  return absl::InvalidArgumentError(absl::StrCat("SecurityProfileInvalid: ", why.message()));
}

absl::StatusOr<oci::Reference> Parse(const std::string& name) {
  absl::StatusOr<oci::Reference> reference = oci::Reference::Parse(name);
  if (reference.ok() && reference->digest().empty())
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\": must have a digest"));
  return reference;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Of too many the oldest goes: kubelet has a profile pulled by each name that a pod uses, again and
// again.
void AddNewest(const std::string& name, std::vector<std::string>& names) {
  if (names.size() >= kMaxNames) names.erase(names.begin());
  names.push_back(name);
}

}  // namespace

absl::Status SecurityProfiles::Load() {
  const auto load = [this](const std::string& id, absl::string_view text) {
    store::ProfileRecord record;
    CRISP_RETURN_IF_ERROR(store::Decode(text, record));
    if (id != IdOf(record.digest))
      return absl::InvalidArgumentError("the directory is not the profile's");
    absl::MutexLock lock(&mu_);
    profiles_[record.digest] = {
        .digest = record.digest.str(), .names = std::move(record.names), .bytes = text.size()};
    return absl::OkStatus();
  };
  const absl::StatusOr<std::vector<store::Damaged>> damaged = records_.Load(load);
  if (absl::IsResourceExhausted(damaged.status())) return damaged.status();
  if (!damaged.ok()) {
    base::Log(base::LogLevel::kError, "security profiles cannot be read, going on without",
              {{"error", std::string(damaged.status().message())}});
    return absl::OkStatus();
  }
  for (const store::Damaged& profile : *damaged) {
    // Without a record: its first write or its removal was cut short.
    if (!absl::IsNotFound(profile.why)) {
      base::Log(base::LogLevel::kError, "damaged security profile, to be pulled again",
                {{"id", profile.id}, {"error", std::string(profile.why.message())}});
    }
    const absl::Status aside = records_.SetAside(profile);
    if (!aside.ok()) {
      base::Log(base::LogLevel::kWarning, "a damaged security profile stays where it is",
                {{"id", profile.id}, {"error", std::string(aside.message())}});
    }
  }
  return absl::OkStatus();
}

bool SecurityProfiles::Has(const oci::Digest& digest, const std::string& name) const {
  absl::ReaderMutexLock lock(&mu_);
  const auto found = profiles_.find(digest);
  return found != profiles_.end() && Contains(found->second.names, name);
}

absl::StatusOr<store::ProfileRecord> SecurityProfiles::Read(const oci::Digest& digest) const {
  CRISP_ASSIGN_OR_RETURN(
      const std::string text,
      base::ReadFile(base::JoinPath(records_.Dir(IdOf(digest)), base::kRecordFile)));
  store::ProfileRecord record;
  CRISP_RETURN_IF_ERROR(store::Decode(text, record));
  return record;
}

absl::Status SecurityProfiles::Write(const store::ProfileRecord& record) {
  const std::string text = store::Encode(record);
  CRISP_RETURN_IF_ERROR(
      base::Prefix(records_.Write(IdOf(record.digest), text), "write security profile"));
  absl::MutexLock lock(&mu_);
  profiles_[record.digest] = {
      .digest = record.digest.str(), .names = record.names, .bytes = text.size()};
  return absl::OkStatus();
}

absl::StatusOr<bool> SecurityProfiles::AddName(const oci::Digest& digest, const std::string& name) {
  absl::MutexLock lock(&write_mu_);
  {
    absl::ReaderMutexLock reading(&mu_);
    if (profiles_.find(digest) == profiles_.end()) return false;
  }
  absl::StatusOr<store::ProfileRecord> record = Read(digest);
  if (absl::IsResourceExhausted(record.status())) return record.status();
  if (!record.ok()) return false;  // pulled again
  if (Contains(record->names, name)) return true;
  AddNewest(name, record->names);
  CRISP_RETURN_IF_ERROR(Write(*record));
  return true;
}

absl::Status SecurityProfiles::Put(store::ProfileRecord record) {
  absl::MutexLock lock(&write_mu_);
  {
    absl::ReaderMutexLock reading(&mu_);
    const auto found = profiles_.find(record.digest);
    if (found != profiles_.end()) {
      std::vector<std::string> names = found->second.names;
      for (const std::string& name : record.names) {
        if (!Contains(names, name)) AddNewest(name, names);
      }
      record.names = std::move(names);
    }
  }
  return Write(record);
}

absl::StatusOr<bool> SecurityProfiles::Pull(const std::string& name,
                                            const image::Credentials& credentials,
                                            const base::Call& call) {
  const absl::StatusOr<oci::Reference> reference = Parse(name);
  if (!reference.ok()) return Invalid(base::Prefix(reference.status(), "image.image"));
  CRISP_ASSIGN_OR_RETURN(const bool present, AddName(reference->digest(), name));
  if (present) return true;
  absl::StatusOr<std::string> document = image::FetchArtifact({.reference = *reference,
                                                               .credentials = credentials,
                                                               .type = kSeccompType,
                                                               .max_bytes = kMaxProfileBytes},
                                                              options_, call);
  if (absl::IsInvalidArgument(document.status())) return Invalid(document.status());
  CRISP_RETURN_IF_ERROR(document.status());
  const absl::Status usable = spec::CheckSeccompArtifact(*document);
  if (absl::IsInvalidArgument(usable))
    return Invalid(base::Prefix(usable, absl::StrCat("pull ", reference->ToString())));
  CRISP_RETURN_IF_ERROR(usable);
  CRISP_RETURN_IF_ERROR(
      Put({.digest = reference->digest(), .names = {name}, .document = *std::move(document)}));
  base::Log(base::LogLevel::kInfo, "security profile pulled", {{"profile", name}});
  return false;
}

std::vector<ProfileInfo> SecurityProfiles::List() const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<ProfileInfo> all;
  for (const auto& [digest, info] : profiles_) all.push_back(info);
  return all;
}

absl::Status SecurityProfiles::Remove(const std::string& digest) {
  const absl::StatusOr<oci::Digest> parsed = oci::Digest::Parse(digest);
  if (!parsed.ok()) return absl::OkStatus();  // nothing has that digest
  absl::MutexLock lock(&write_mu_);
  {
    absl::ReaderMutexLock reading(&mu_);
    if (profiles_.find(*parsed) == profiles_.end()) return absl::OkStatus();
  }
  CRISP_RETURN_IF_ERROR(base::Prefix(records_.Remove(IdOf(*parsed)), "remove security profile"));
  {
    absl::MutexLock writing(&mu_);
    profiles_.erase(*parsed);
  }
  base::Log(base::LogLevel::kInfo, "security profile removed", {{"digest", digest}});
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> SecurityProfiles::Document(
    const v1::SecurityProfile& profile) const {
  if (profile.profile_type() != v1::SecurityProfile::OCI) return std::nullopt;
  const absl::StatusOr<oci::Reference> reference = Parse(profile.oci_ref());
  if (!reference.ok() || !Has(reference->digest(), profile.oci_ref())) return std::nullopt;
  absl::StatusOr<store::ProfileRecord> record = Read(reference->digest());
  if (absl::IsResourceExhausted(record.status())) return record.status();
  if (!record.ok()) return std::nullopt;  // removed meanwhile, or damaged
  return std::move(record->document);
}

}  // namespace crisp::runtime
