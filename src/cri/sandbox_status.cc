#include "base/clock.h"
#include "base/status_macros.h"
#include "cri/handlers.h"
#include "cri/info.h"
#include "cri/status_message.h"

namespace crisp::cri {

absl::StatusOr<v1::PodSandboxStatusResponse> PodSandboxStatus(
    const Api& runtime, const v1::PodSandboxStatusRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::SandboxPtr sandbox,
                         runtime.objects.FindVisible(request.pod_sandbox_id()));
  v1::PodSandboxStatusResponse response;
  // Before anything is read: kubelet drops events that are older than the statuses it has.
  response.set_timestamp(base::WallNanos());
  *response.mutable_status() = StatusMessage(*sandbox);
  for (const runtime::ContainerPtr& container : runtime.objects.ContainersOf(sandbox->id()))
    *response.add_containers_statuses() = StatusMessage(*container);
  if (request.verbose()) {
    (*response.mutable_info())["info"] = SandboxInfo(*sandbox, runtime.paths.Bundle(sandbox->id()));
  }
  return response;
}

}  // namespace crisp::cri
