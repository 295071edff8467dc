// Exec, Attach, PortForward: a one-time URL at the streaming server.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {
namespace {

template <typename Request>
streaming::Streams StreamsOf(const Request& request) {
  return {.in = request.stdin(),
          .out = request.stdout(),
          .err = request.stderr(),
          .tty = request.tty()};
}

}  // namespace

absl::StatusOr<v1::ExecResponse> Exec(const Api& runtime, const v1::ExecRequest& request,
                                      const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::ContainerPtr container,
                         runtime.objects.FindRunning(request.container_id()));
  v1::ExecResponse response;
  CRISP_ASSIGN_OR_RETURN(*response.mutable_url(),
                         runtime.exec.Url(streaming::ExecRequest{
                             .container_id = container->id().str(),
                             .command = {request.cmd().begin(), request.cmd().end()},
                             .streams = StreamsOf(request)}));
  return response;
}

absl::StatusOr<v1::AttachResponse> Attach(const Api& runtime, const v1::AttachRequest& request,
                                          const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::ContainerPtr container,
                         runtime.objects.FindRunning(request.container_id()));
  // As with containerd, `tty` need not say whether the container has a terminal: clients that do
  // not look at the pod ask without. A terminal's output is stdout then, and stderr ends at once.
  v1::AttachResponse response;
  CRISP_ASSIGN_OR_RETURN(*response.mutable_url(), runtime.exec.Url(streaming::AttachRequest{
                                                      .container_id = container->id().str(),
                                                      .streams = StreamsOf(request)}));
  return response;
}

absl::StatusOr<v1::PortForwardResponse> PortForward(const Api& runtime,
                                                    const v1::PortForwardRequest& request,
                                                    const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::SandboxPtr sandbox,
                         runtime.objects.FindReady(request.pod_sandbox_id()));
  for (int i = 0; i < request.port_size(); ++i) {
    if (request.port(i) < 1 || request.port(i) > UINT16_MAX) {
      return absl::InvalidArgumentError(
          absl::StrCat("port[", i, "] ", request.port(i), ": must be from 1 to 65535"));
    }
  }
  v1::PortForwardResponse response;
  CRISP_ASSIGN_OR_RETURN(
      *response.mutable_url(),
      runtime.exec.Url(streaming::PortForwardRequest{.sandbox_id = sandbox->id().str()}));
  return response;
}

}  // namespace crisp::cri
