#include "base/log.h"
#include "base/status_macros.h"
#include "cri/handlers.h"
#include "spec/resources.h"

namespace crisp::cri {

// kubelet owns the pod's cgroup and has changed it already. The numbers are kept for inspectp only,
// so a record that cannot be written does not fail the resize.
absl::StatusOr<v1::UpdatePodSandboxResourcesResponse> UpdatePodSandboxResources(
    const Api& runtime, const v1::UpdatePodSandboxResourcesRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::SandboxPtr sandbox,
                         runtime.objects.sandboxes.Find(request.pod_sandbox_id()));
  CRISP_RETURN_IF_ERROR(spec::CgroupUpdate(request.overhead()).status());
  CRISP_RETURN_IF_ERROR(spec::CgroupUpdate(request.resources()).status());
  // A record that is written after its removal would bring the sandbox back at the next start.
  absl::MutexLock lock(&sandbox->operation());
  CRISP_RETURN_IF_ERROR(runtime.objects.sandboxes.Find(sandbox->id().str()).status());
  const absl::Status written = sandbox->Update([&](store::SandboxRecord& record) {
    v1::LinuxPodSandboxConfig& config = *record.config.mutable_linux();
    if (request.has_overhead()) *config.mutable_overhead() = request.overhead();
    if (request.has_resources()) *config.mutable_resources() = request.resources();
  });
  if (!written.ok()) {
    base::Log(base::LogLevel::kWarning, "pod resources are not on record",
              {{"sandbox", sandbox->id().str()}, {"error", std::string(written.message())}});
  }
  return v1::UpdatePodSandboxResourcesResponse();
}

}  // namespace crisp::cri
