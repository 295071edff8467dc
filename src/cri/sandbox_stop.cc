#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {

// kubelet stops a sandbox again and again, also one that is gone.
absl::StatusOr<v1::StopPodSandboxResponse> StopPodSandbox(const Api& runtime,
                                                          const v1::StopPodSandboxRequest& request,
                                                          const Call& call) {
  const absl::StatusOr<runtime::SandboxPtr> sandbox =
      runtime.objects.sandboxes.Find(request.pod_sandbox_id());
  if (absl::IsNotFound(sandbox.status())) return v1::StopPodSandboxResponse();
  CRISP_RETURN_IF_ERROR(sandbox.status());
  CRISP_RETURN_IF_ERROR(runtime.sandboxes.Stop(*sandbox, call));
  return v1::StopPodSandboxResponse();
}

}  // namespace crisp::cri
