#include "base/status_macros.h"
#include "cri/handlers.h"
#include "cri/info.h"
#include "cri/status_message.h"

namespace crisp::cri {

absl::StatusOr<v1::ContainerStatusResponse> ContainerStatus(
    const Api& runtime, const v1::ContainerStatusRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::ContainerPtr container,
                         runtime.objects.containers.Find(request.container_id()));
  v1::ContainerStatusResponse response;
  *response.mutable_status() = StatusMessage(*container);
  if (request.verbose()) {
    (*response.mutable_info())["info"] =
        ContainerInfo(*container, runtime.paths.Bundle(container->id()));
  }
  return response;
}

}  // namespace crisp::cri
