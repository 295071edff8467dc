// Exec, Attach, PortForward: a one-time URL at the streaming server.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "runtime/runtime.h"

namespace crisp::cri {

Streams::Lookup Service::StreamLookup() {
  return {.running_bundle = [this](const std::string& id) -> absl::StatusOr<std::string> {
            CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, FindRunning(id));
            return paths_.Bundle(container->id());
          },
          .netns = [this](const std::string& id) -> absl::StatusOr<base::UniqueFd> {
            CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, sandboxes_.Find(id));
            if (!sandbox->ready()) return absl::FailedPreconditionError("sandbox is not ready");
            const std::string path =
                sandbox->Read([](const store::SandboxRecord& r) { return r.netns_path; });
            if (path.empty()) return base::UniqueFd();
            return cni::OpenNetns(path);
          }};
}

absl::Status Service::StartStreaming() {
  CRISP_ASSIGN_OR_RETURN(
      streaming_, streaming::Server::Start({.address = config_.streaming.address}, &streams_));
  return absl::OkStatus();
}

absl::StatusOr<v1::ExecResponse> Service::Exec(const v1::ExecRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, FindRunning(request.container_id()));
  v1::ExecResponse response;
  CRISP_ASSIGN_OR_RETURN(*response.mutable_url(),
                         streaming_->Url(streaming::ExecRequest{
                             .container_id = container->id(),
                             .command = {request.cmd().begin(), request.cmd().end()},
                             .streams = {.in = request.stdin(),
                                         .out = request.stdout(),
                                         .err = request.stderr(),
                                         .tty = request.tty()}}));
  return response;
}

absl::StatusOr<v1::AttachResponse> Service::Attach(const v1::AttachRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, FindRunning(request.container_id()));
  const bool tty =
      container->Read([](const store::ContainerRecord& record) { return record.config.tty(); });
  if (request.tty() != tty) {
    return absl::InvalidArgumentError(
        absl::StrCat("tty ", request.tty(), " is not the container's"));
  }
  v1::AttachResponse response;
  CRISP_ASSIGN_OR_RETURN(*response.mutable_url(), streaming_->Url(streaming::AttachRequest{
                                                      .container_id = container->id(),
                                                      .streams = {.in = request.stdin(),
                                                                  .out = request.stdout(),
                                                                  .err = request.stderr(),
                                                                  .tty = request.tty()}}));
  return response;
}

absl::StatusOr<v1::PortForwardResponse> Service::PortForward(const v1::PortForwardRequest& request,
                                                             const Call&) {
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, sandboxes_.Find(request.pod_sandbox_id()));
  if (!sandbox->ready()) {
    return absl::FailedPreconditionError(
        absl::StrCat("sandbox \"", sandbox->id(), "\" is not ready"));
  }
  for (const int32_t port : request.port()) {
    if (port < 1 || port > UINT16_MAX) {
      return absl::InvalidArgumentError(absl::StrCat("port ", port, " is no port"));
    }
  }
  v1::PortForwardResponse response;
  CRISP_ASSIGN_OR_RETURN(
      *response.mutable_url(),
      streaming_->Url(streaming::PortForwardRequest{.sandbox_id = sandbox->id()}));
  return response;
}

}  // namespace crisp::cri
