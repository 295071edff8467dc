#include "base/status_macros.h"
#include "cri/handlers.h"
#include "spec/validate.h"

namespace crisp::cri {

absl::StatusOr<v1::RunPodSandboxResponse> RunPodSandbox(const Api& runtime,
                                                        const v1::RunPodSandboxRequest& request,
                                                        const Call& call) {
  CRISP_RETURN_IF_ERROR(runtime.handlers.Find(request.runtime_handler()).status());
  CRISP_RETURN_IF_ERROR(spec::ValidateSandboxConfig(request.config()));
  CRISP_ASSIGN_OR_RETURN(const base::SandboxId id,
                         runtime.sandboxes.Run(request.config(), request.runtime_handler(), call));
  v1::RunPodSandboxResponse response;
  response.set_pod_sandbox_id(id.str());
  return response;
}

}  // namespace crisp::cri
