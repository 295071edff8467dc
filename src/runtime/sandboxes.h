// What is done with sandboxes: sandboxes.cc makes them, sandbox_teardown.cc gives back what they
// hold. Thread-safe.
#pragma once

#include <string>

#include "cni/network.h"
#include "runtime/api.h"
#include "runtime/containers.h"
#include "runtime/core.h"
#include "runtime/joined.h"
#include "runtime/security_profiles.h"

namespace crisp::runtime {

class Sandboxes final : public SandboxApi {
 public:
  Sandboxes(Core& core, Containers& containers, const SecurityProfiles& profiles)
      : core_(core), containers_(containers), profiles_(profiles) {}

  absl::StatusOr<base::SandboxId> Run(const v1::PodSandboxConfig& config,
                                      const std::string& handler, const base::Call& call) override;
  absl::Status Stop(const SandboxPtr& sandbox, const base::Call& call) override;
  absl::Status Remove(const SandboxPtr& sandbox, const base::Call& call) override;

  // Does the pending cleanup in the background until it is done; `then_forget`: the sandbox goes
  // with it, because it was never acknowledged.
  void TeardownLater(const SandboxPtr& sandbox, bool then_forget);

 private:
  absl::StatusOr<base::SandboxId> Make(const v1::PodSandboxConfig& config,
                                       const std::string& handler, const base::Call& call);
  absl::StatusOr<store::SandboxRecord> NewRecord(const v1::PodSandboxConfig& config,
                                                 const std::string& handler);
  absl::Status BringUp(sandbox::Sandbox& sandbox, base::Deadline deadline);
  absl::StatusOr<std::string> PrepareBundle(const store::SandboxRecord& record);
  absl::Status CreateCgroup(const store::SandboxRecord& record, const std::string& path,
                            base::Deadline deadline);
  absl::Status WatchPause(sandbox::Sandbox& sandbox, const linux::ProcessRef& pause);
  cni::PodNetworkRequest NetworkRequest(const store::SandboxRecord& record) const;

  // Does the cleanup the record lists; what cannot be done now stays pending and is named.
  absl::Status Teardown(sandbox::Sandbox& sandbox, base::Deadline deadline);
  absl::Status DetachNetwork(const sandbox::Sandbox& sandbox, const store::SandboxRecord& record,
                             base::Deadline deadline);
  absl::Status RemoveCgroup(const store::SandboxRecord& record);
  absl::Status StopPause(sandbox::Sandbox& sandbox);
  absl::Status Forget(const SandboxPtr& sandbox);

  Core& core_;
  Containers& containers_;
  const SecurityProfiles& profiles_;
  Joined<base::SandboxId> runs_;
};

}  // namespace crisp::runtime
