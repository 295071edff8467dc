#include "bench/peer.h"

namespace crisp::bench {

namespace v1 = ::runtime::v1;
using Runtime = v1::RuntimeService::Stub;

void RemovePods(test::Endpoint& endpoint) {
  const v1::ListPodSandboxResponse pods =
      endpoint.Call(endpoint.runtime(), &Runtime::ListPodSandbox, {});
  for (const v1::PodSandbox& pod : pods.items()) {
    v1::StopPodSandboxRequest stop;
    stop.set_pod_sandbox_id(pod.id());
    endpoint.Call(endpoint.runtime(), &Runtime::StopPodSandbox, stop);
    v1::RemovePodSandboxRequest remove;
    remove.set_pod_sandbox_id(pod.id());
    endpoint.Call(endpoint.runtime(), &Runtime::RemovePodSandbox, remove);
  }
}

}  // namespace crisp::bench
