#include "base/clock.h"
#include "base/status_macros.h"
#include "cri/info.h"
#include "cri/service.h"

namespace crisp::cri {
namespace {

v1::PodSandboxStatus StatusMessage(const sandbox::Sandbox& sandbox,
                                   const store::SandboxRecord& record) {
  v1::PodSandboxStatus status;
  status.set_id(record.id);
  *status.mutable_metadata() = record.config.metadata();
  status.set_state(sandbox.ready() ? v1::SANDBOX_READY : v1::SANDBOX_NOTREADY);
  status.set_created_at(record.created_at_ns);
  *status.mutable_labels() = record.config.labels();
  *status.mutable_annotations() = record.config.annotations();
  status.set_runtime_handler(record.runtime_handler);
  // kubelet makes a new sandbox when the options are not those it asked for.
  *status.mutable_linux()->mutable_namespaces()->mutable_options() =
      record.config.linux().security_context().namespace_options();
  status.mutable_network();
  if (!record.stopped && record.owed.count(store::Debt::kNetwork) > 0) {
    status.mutable_network()->set_ip(record.ip.primary);
    for (const std::string& ip : record.ip.additional)
      status.mutable_network()->add_additional_ips()->set_ip(ip);
  }
  return status;
}

}  // namespace

absl::StatusOr<v1::PodSandboxStatusResponse> Service::PodSandboxStatus(
    const v1::PodSandboxStatusRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, sandboxes_.Find(request.pod_sandbox_id()));
  if (!sandbox->visible()) return absl::NotFoundError("sandbox is still being made");
  const store::SandboxRecord record = sandbox->record();
  v1::PodSandboxStatusResponse response;
  *response.mutable_status() = StatusMessage(*sandbox, record);
  response.set_timestamp(base::WallNanos());
  if (request.verbose()) {
    const std::optional<sandbox::Pause> pause = sandbox->pause();
    (*response.mutable_info())["info"] = SandboxInfo(record, pause, paths_.Bundle(record.id));
  }
  return response;
}

}  // namespace crisp::cri
