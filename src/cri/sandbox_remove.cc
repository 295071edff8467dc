#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::RemovePodSandboxResponse> RemovePodSandbox(
    const Api& runtime, const v1::RemovePodSandboxRequest& request, const Call& call) {
  const absl::StatusOr<runtime::SandboxPtr> sandbox =
      runtime.objects.sandboxes.Find(request.pod_sandbox_id());
  if (absl::IsNotFound(sandbox.status())) return v1::RemovePodSandboxResponse();
  CRISP_RETURN_IF_ERROR(sandbox.status());
  CRISP_RETURN_IF_ERROR(runtime.sandboxes.Remove(*sandbox, call));
  return v1::RemovePodSandboxResponse();
}

}  // namespace crisp::cri
