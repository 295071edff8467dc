#include "base/status_macros.h"
#include "cri/info.h"
#include "cri/status_message.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::StatusOr<v1::ContainerStatusResponse> Service::ContainerStatus(
    const v1::ContainerStatusRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, containers_.Find(request.container_id()));
  v1::ContainerStatusResponse response;
  *response.mutable_status() = StatusMessage(*container);
  if (request.verbose()) {
    (*response.mutable_info())["info"] =
        ContainerInfo(container->record(), container->init(), paths_.Bundle(container->id()));
  }
  return response;
}

}  // namespace crisp::cri
