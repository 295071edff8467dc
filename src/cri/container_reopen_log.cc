#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"
#include "shim_client/session.h"

namespace crisp::cri {

absl::StatusOr<v1::ReopenContainerLogResponse> Service::ReopenContainerLog(
    const v1::ReopenContainerLogRequest& request, const Call& call) {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, FindRunning(request.container_id()));
  const auto deadline =
      base::Deadline::At(MonotonicDeadline(std::min(call.deadline, absl::Now() + kKillTime)));
  CRISP_RETURN_IF_ERROR(
      base::Prefix(shim_client::ReopenLog(paths_.Bundle(container->id()), deadline), "reopen log"));
  return v1::ReopenContainerLogResponse();
}

}  // namespace crisp::cri
