#include "cri/event_announcer.h"

#include <catch2/catch.hpp>

#include "events/queue.h"

namespace crisp::cri {
namespace {

namespace v1 = ::runtime::v1;

TEST_CASE("an event has the statuses of the pod and of all its containers") {
  store::RecordDirectory directory{"/proc/none", "/proc/none"};
  runtime::Objects objects;
  store::SandboxRecord pod;
  pod.id = base::SandboxId("a");
  pod.ready = true;
  const auto sandbox = std::make_shared<sandbox::Sandbox>(pod, &directory);
  objects.sandboxes.Add(sandbox);
  for (const char* id : {"c", "d"}) {
    store::ContainerRecord record;
    record.id = base::ContainerId(id);
    record.sandbox_id = pod.id;
    objects.containers.Add(std::make_shared<container::Container>(record, &directory));
  }
  events::Hub hub;
  EventAnnouncer announcer(objects, hub);
  std::vector<v1::ContainerEventResponse> seen;
  const auto queue = std::make_shared<events::Queue>(
      [&](events::Event event) { seen.push_back(*event); }, [](absl::Status) {});
  REQUIRE(hub.Subscribe(queue).ok());
  queue->Delivered();

  announcer.OnChange(runtime::Change::kCreated, **objects.containers.Find("c"));
  queue->Delivered();
  announcer.OnChange(runtime::Change::kStopped, *sandbox);
  queue->Delivered();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].container_id() == "c");
  CHECK(seen[0].container_event_type() == v1::CONTAINER_CREATED_EVENT);
  CHECK(seen[0].pod_sandbox_status().id() == "a");
  CHECK(seen[0].containers_statuses_size() == 2);
  CHECK(seen[1].container_id() == "a");
  CHECK(seen[1].container_event_type() == v1::CONTAINER_STOPPED_EVENT);
  CHECK(seen[1].containers_statuses_size() == 2);
}

}  // namespace
}  // namespace crisp::cri
