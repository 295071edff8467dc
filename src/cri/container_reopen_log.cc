#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::ReopenContainerLogResponse> ReopenContainerLog(
    const Api& runtime, const v1::ReopenContainerLogRequest& request, const Call& call) {
  CRISP_ASSIGN_OR_RETURN(const runtime::ContainerPtr container,
                         runtime.objects.FindRunning(request.container_id()));
  CRISP_RETURN_IF_ERROR(base::Prefix(runtime.containers.ReopenLog(container, call), "reopen log"));
  return v1::ReopenContainerLogResponse();
}

}  // namespace crisp::cri
