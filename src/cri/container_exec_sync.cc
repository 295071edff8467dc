#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::ExecSyncResponse> ExecSync(const Api& runtime,
                                              const v1::ExecSyncRequest& request,
                                              const Call& call) {
  if (request.cmd().empty()) return absl::InvalidArgumentError("cmd: must not be empty");
  if (request.timeout() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("timeout ", request.timeout(), ": must not be negative"));
  }
  CRISP_ASSIGN_OR_RETURN(const runtime::ContainerPtr container,
                         runtime.objects.FindRunning(request.container_id()));
  // 0: no limit of its own.
  const absl::Duration timeout =
      request.timeout() == 0 ? absl::InfiniteDuration() : absl::Seconds(request.timeout());
  CRISP_ASSIGN_OR_RETURN(
      runtime::ExecOutput output,
      runtime.exec.Sync(container, {request.cmd().begin(), request.cmd().end()}, timeout, call));
  v1::ExecSyncResponse response;
  response.set_exit_code(output.exit_code);
  response.set_stdout(std::move(output.out));
  response.set_stderr(std::move(output.err));
  return response;
}

}  // namespace crisp::cri
