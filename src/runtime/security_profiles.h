// Seccomp profiles that are OCI artifacts (KEP-6061): pulled, kept until kubelet removes them, and
// read when a pod or container that names one is made. Records survive a restart; one that a power
// cut has damaged is pulled again. Thread-safe; List() waits for no disk.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "image/pull_options.h"
#include "runtime/api.h"
#include "store/record_store.h"

namespace crisp::runtime {

class SecurityProfiles final : public ProfileApi {
 public:
  // Borrows `options`.
  SecurityProfiles(const base::Paths& paths, const image::PullOptions& options)
      : records_(paths.ProfileRecords(), paths.Quarantine()), options_(options) {}

  // Once, at start. A damaged record is quarantined; what cannot be read counts as not pulled. Only
  // kResourceExhausted.
  absl::Status Load();

  absl::StatusOr<bool> Pull(const std::string& name, const image::Credentials& credentials,
                            const base::Call& call) override;
  std::vector<ProfileInfo> List() const override;
  absl::Status Remove(const std::string& digest) override;

  // What `profile` names, as spec::ContainerInput takes it: std::nullopt when its type is not OCI,
  // or when nothing was pulled by that name.
  absl::StatusOr<std::optional<std::string>> Document(const v1::SecurityProfile& profile) const;

 private:
  bool Has(const oci::Digest& digest, const std::string& name) const;
  // Adds a name to a profile that is there, if it is new; false when the profile is not there, or
  // cannot be read any more.
  absl::StatusOr<bool> AddName(const oci::Digest& digest, const std::string& name);
  // Writes it with the names that the profile has already.
  absl::Status Put(store::ProfileRecord record);
  absl::Status Write(const store::ProfileRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mu_);
  absl::StatusOr<store::ProfileRecord> Read(const oci::Digest& digest) const;

  const store::RecordDirectory records_;
  const image::PullOptions& options_;
  absl::Mutex write_mu_;  // serialises writers across their disk writes; taken before mu_
  mutable absl::Mutex mu_;
  std::map<oci::Digest, ProfileInfo> profiles_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::runtime
