#include "base/clock.h"
#include "base/status_macros.h"
#include "cri/info.h"
#include "cri/status_message.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::StatusOr<v1::PodSandboxStatusResponse> Service::PodSandboxStatus(
    const v1::PodSandboxStatusRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, sandboxes_.Find(request.pod_sandbox_id()));
  if (!sandbox->visible()) return absl::NotFoundError("sandbox is still being made");
  v1::PodSandboxStatusResponse response;
  // Before anything is read: kubelet drops events that are older than the statuses it has.
  response.set_timestamp(base::WallNanos());
  *response.mutable_status() = StatusMessage(*sandbox);
  for (const ContainerPtr& container : ContainersOf(sandbox->id()))
    *response.add_containers_statuses() = StatusMessage(*container);
  if (request.verbose()) {
    (*response.mutable_info())["info"] =
        SandboxInfo(sandbox->record(), sandbox->pause(), paths_.Bundle(sandbox->id()));
  }
  return response;
}

}  // namespace crisp::cri
