#include "base/status_macros.h"
#include "cri/handlers.h"
#include "spec/pod_as_asked.h"
#include "spec/validate.h"

namespace crisp::cri {

absl::StatusOr<v1::CreateContainerResponse> CreateContainer(
    const Api& runtime, const v1::CreateContainerRequest& request, const Call& call) {
  CRISP_ASSIGN_OR_RETURN(const runtime::SandboxPtr sandbox,
                         runtime.objects.FindReady(request.pod_sandbox_id()));
  const v1::PodSandboxConfig pod = sandbox->Read(
      [&](const store::SandboxRecord& record) { return spec::PodAsAsked(record.config, request); });
  CRISP_RETURN_IF_ERROR(spec::ValidateContainerConfig(request.config(), pod));
  CRISP_ASSIGN_OR_RETURN(const base::ContainerId id,
                         runtime.containers.Create(sandbox, pod, request.config(), call));
  v1::CreateContainerResponse response;
  response.set_container_id(id.str());
  return response;
}

}  // namespace crisp::cri
