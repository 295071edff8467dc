// What is done with containers. One file for each of the larger verbs: container_create.cc,
// container_start.cc, container_stop.cc; the rest is in containers.cc. Thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "layers/image_users.h"
#include "runtime/api.h"
#include "runtime/core.h"
#include "runtime/joined.h"
#include "runtime/security_profiles.h"
#include "shim/v1/shim.pb.h"
#include "spec/cdi_files.h"

namespace crisp::runtime {

class Containers final : public ContainerApi {
 public:
  Containers(Core& core, const SecurityProfiles& profiles)
      : core_(core), profiles_(profiles), cdi_(core.config.cdi.spec_dirs) {}

  absl::StatusOr<base::ContainerId> Create(const SandboxPtr& sandbox,
                                           const v1::PodSandboxConfig& pod,
                                           const v1::ContainerConfig& config,
                                           const base::Call& call) override;
  absl::Status Start(const ContainerPtr& container, const base::Call& call) override;
  absl::Status Stop(const ContainerPtr& container, absl::Duration grace,
                    const base::Call& call) override;
  absl::Status Remove(const ContainerPtr& container, const base::Call& call) override;
  absl::Status Update(const ContainerPtr& container,
                      const v1::LinuxContainerResources& update) override;
  absl::Status ReopenLog(const ContainerPtr& container, const base::Call& call) override;

  // SIGKILL to all containers of a sandbox; OK when none of them runs any more.
  absl::Status KillOf(const base::SandboxId& sandbox, base::Deadline deadline);
  // Makes the running container's cgroup have the limits on record.
  absl::Status ApplyResources(const container::Container& container);
  // Where the CDI specifications of containers that are created from now on are.
  void SetCdiDirectories(std::vector<std::string> directories) {
    cdi_.SetDirectories(std::move(directories));
  }

 private:
  absl::StatusOr<base::ContainerId> Make(const SandboxPtr& sandbox, const v1::PodSandboxConfig& pod,
                                         const v1::ContainerConfig& config);
  absl::Status Prepare(const sandbox::Sandbox& sandbox, const v1::PodSandboxConfig& pod,
                       const image::Image& image, store::ContainerRecord& record);
  absl::StatusOr<container::Init> Target(const base::SandboxId& sandbox,
                                         const v1::ContainerConfig& config) const;
  absl::Status Launch(container::Container& container, base::Deadline deadline);
  absl::StatusOr<shim::v1::Start> StartRequest(const store::ContainerRecord& record,
                                               const std::string& cgroup_path) const;
  void RecordStartError(const ContainerPtr& container, const absl::Status& why);
  absl::Status Kill(container::Container& container, base::Deadline deadline);

  Core& core_;
  const SecurityProfiles& profiles_;
  layers::ImageUsers image_users_;
  spec::CdiFiles cdi_;
  Joined<base::ContainerId> creates_;
};

}  // namespace crisp::runtime
