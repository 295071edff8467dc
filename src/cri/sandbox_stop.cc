#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::StatusOr<v1::StopPodSandboxResponse> Service::StopPodSandbox(
    const v1::StopPodSandboxRequest& request, const Call& call) {
  absl::StatusOr<SandboxPtr> sandbox = sandboxes_.Find(request.pod_sandbox_id());
  if (absl::IsNotFound(sandbox.status())) return v1::StopPodSandboxResponse();
  CRISP_RETURN_IF_ERROR(sandbox.status());
  absl::MutexLock lock(&(*sandbox)->operation());
  if (!(*sandbox)->Read([](const store::SandboxRecord& record) { return record.stopped; })) {
    // First on record: from here on no container starts in it, and a restarted daemon goes on
    // stopping. Stopping must also work on a full disk, so a record that cannot be written does not
    // end it.
    (*sandbox)->MarkStopped();
  }
  const absl::Time give_up = std::min(call.deadline, absl::Now() + kTeardownTime);
  const absl::Status status = Teardown(**sandbox, give_up);
  if (!status.ok()) {
    TeardownLater(*sandbox, /*then_forget=*/false);
    return base::Prefix(status, "stop sandbox");
  }
  return v1::StopPodSandboxResponse();
}

}  // namespace crisp::cri
