#include "cri/event_announcer.h"

#include "cri/status_message.h"

namespace crisp::cri {
namespace {

namespace v1 = ::runtime::v1;

v1::ContainerEventType TypeOf(runtime::Change change) {
  switch (change) {
    case runtime::Change::kCreated:
      return v1::CONTAINER_CREATED_EVENT;
    case runtime::Change::kStarted:
      return v1::CONTAINER_STARTED_EVENT;
    case runtime::Change::kStopped:
      return v1::CONTAINER_STOPPED_EVENT;
    case runtime::Change::kRemoved:
      break;
  }
  return v1::CONTAINER_DELETED_EVENT;
}

}  // namespace

void EventAnnouncer::OnChange(runtime::Change change, const container::Container& container) {
  hub_.Publish([&](v1::ContainerEventResponse& event) {
    event.set_container_id(container.id().str());
    event.set_container_event_type(TypeOf(change));
    const absl::StatusOr<runtime::SandboxPtr> sandbox =
        objects_.sandboxes.Find(container.sandbox_id().str());
    if (sandbox.ok()) *event.mutable_pod_sandbox_status() = StatusMessage(**sandbox);
    for (const runtime::ContainerPtr& other : objects_.ContainersOf(container.sandbox_id()))
      *event.add_containers_statuses() = StatusMessage(*other);
  });
}

void EventAnnouncer::OnChange(runtime::Change change, const sandbox::Sandbox& sandbox) {
  hub_.Publish([&](v1::ContainerEventResponse& event) {
    event.set_container_id(sandbox.id().str());
    event.set_container_event_type(TypeOf(change));
    *event.mutable_pod_sandbox_status() = StatusMessage(sandbox);
    for (const runtime::ContainerPtr& container : objects_.ContainersOf(sandbox.id()))
      *event.add_containers_statuses() = StatusMessage(*container);
  });
}

}  // namespace crisp::cri
