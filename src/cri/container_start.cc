#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::StartContainerResponse> StartContainer(const Api& runtime,
                                                          const v1::StartContainerRequest& request,
                                                          const Call& call) {
  CRISP_ASSIGN_OR_RETURN(const runtime::ContainerPtr container,
                         runtime.objects.containers.Find(request.container_id()));
  CRISP_RETURN_IF_ERROR(runtime.containers.Start(container, call));
  return v1::StartContainerResponse();
}

}  // namespace crisp::cri
