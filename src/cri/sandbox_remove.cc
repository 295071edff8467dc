#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::StatusOr<v1::RemovePodSandboxResponse> Service::RemovePodSandbox(
    const v1::RemovePodSandboxRequest& request, const Call& call) {
  absl::StatusOr<SandboxPtr> sandbox = sandboxes_.Find(request.pod_sandbox_id());
  if (absl::IsNotFound(sandbox.status())) return v1::RemovePodSandboxResponse();
  CRISP_RETURN_IF_ERROR(sandbox.status());
  v1::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id((*sandbox)->id());
  CRISP_RETURN_IF_ERROR(StopPodSandbox(stop, call).status());

  absl::MutexLock lock(&(*sandbox)->operation());
  const absl::Time give_up = std::min(call.deadline, absl::Now() + kTeardownTime);
  for (const ContainerPtr& container : ContainersOf((*sandbox)->id())) {
    CRISP_RETURN_IF_ERROR(RemoveOne(container, give_up));
  }
  CRISP_RETURN_IF_ERROR(base::Prefix(ForgetSandbox(*sandbox), "remove sandbox"));
  return v1::RemovePodSandboxResponse();
}

}  // namespace crisp::cri
