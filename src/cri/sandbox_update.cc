#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/runtime.h"
#include "spec/resources.h"

namespace crisp::cri {

// kubelet owns the pod's cgroup and has changed it already: this is kept for who asks (inspectp),
// and a record that cannot be written is no reason to fail the resize.
absl::StatusOr<v1::UpdatePodSandboxResourcesResponse> Service::UpdatePodSandboxResources(
    const v1::UpdatePodSandboxResourcesRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, sandboxes_.Find(request.pod_sandbox_id()));
  CRISP_RETURN_IF_ERROR(spec::CgroupUpdate(request.overhead()).status());
  CRISP_RETURN_IF_ERROR(spec::CgroupUpdate(request.resources()).status());
  const absl::Status written = sandbox->Update([&](store::SandboxRecord& record) {
    v1::LinuxPodSandboxConfig& config = *record.config.mutable_linux();
    if (request.has_overhead()) *config.mutable_overhead() = request.overhead();
    if (request.has_resources()) *config.mutable_resources() = request.resources();
  });
  if (!written.ok()) {
    base::Log(base::LogLevel::kWarning, "pod resources are not on record",
              {{"sandbox", sandbox->id()}, {"error", std::string(written.message())}});
  }
  return v1::UpdatePodSandboxResourcesResponse();
}

}  // namespace crisp::cri
