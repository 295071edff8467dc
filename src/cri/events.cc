// Events: what GetContainerEvents tells, with the statuses as they are after the change.
#include "cri/status_message.h"
#include "runtime/runtime.h"

namespace crisp::cri {

void Service::Announce(v1::ContainerEventType type, const container::Container& container) {
  events_.Publish([&](v1::ContainerEventResponse& event) {
    event.set_container_id(container.id());
    event.set_container_event_type(type);
    const absl::StatusOr<SandboxPtr> sandbox = sandboxes_.Find(container.sandbox_id());
    if (sandbox.ok()) *event.mutable_pod_sandbox_status() = StatusMessage(**sandbox);
    for (const ContainerPtr& other : ContainersOf(container.sandbox_id()))
      *event.add_containers_statuses() = StatusMessage(*other);
  });
}

void Service::Announce(v1::ContainerEventType type, const sandbox::Sandbox& sandbox) {
  if (!sandbox.visible()) return;
  events_.Publish([&](v1::ContainerEventResponse& event) {
    event.set_container_id(sandbox.id());
    event.set_container_event_type(type);
    *event.mutable_pod_sandbox_status() = StatusMessage(sandbox);
    for (const ContainerPtr& container : ContainersOf(sandbox.id()))
      *event.add_containers_statuses() = StatusMessage(*container);
  });
}

}  // namespace crisp::cri
