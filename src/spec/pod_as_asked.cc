#include "spec/pod_as_asked.h"

namespace crisp::spec {

namespace v1 = ::runtime::v1;

v1::PodSandboxConfig PodAsAsked(const v1::PodSandboxConfig& run,
                                const v1::CreateContainerRequest& request) {
  v1::PodSandboxConfig pod = run;
  if (!request.has_sandbox_config()) return pod;
  const v1::PodSandboxConfig& now = request.sandbox_config();
  pod.set_log_directory(now.log_directory());
  pod.mutable_linux()->mutable_security_context()->set_privileged(
      now.linux().security_context().privileged());
  return pod;
}

}  // namespace crisp::spec
