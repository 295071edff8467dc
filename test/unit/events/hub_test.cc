#include "events/hub.h"

#include <catch2/catch.hpp>
#include <string>
#include <thread>

namespace crisp::events {
namespace {

namespace v1 = ::runtime::v1;

// A subscriber that reads when the test says so.
struct Reader {
  std::vector<Event> got;
  std::vector<absl::Status> ends;
  std::shared_ptr<Queue> queue =
      std::make_shared<Queue>([this](Event event) { got.push_back(std::move(event)); },
                              [this](absl::Status why) { ends.push_back(std::move(why)); });
};

void Publish(Hub& hub, const std::string& id, size_t bytes = 0) {
  hub.Publish([&](v1::ContainerEventResponse& event) {
    event.set_container_id(id);
    if (bytes > 0) event.mutable_pod_sandbox_status()->set_id(std::string(bytes, 'x'));
  });
}

}  // namespace

TEST_CASE("a subscriber gets every event from its subscription on, one at a time, in order") {
  Hub hub;
  Reader reader;
  Publish(hub, "before");
  REQUIRE(hub.Subscribe(reader.queue).ok());
  Publish(hub, "a");
  CHECK(reader.got.empty());  // not opened yet
  reader.queue->Delivered();
  REQUIRE(reader.got.size() == 1);
  Publish(hub, "b");
  Publish(hub, "c");
  CHECK(reader.got.size() == 1);  // the first is still being sent
  reader.queue->Delivered();
  reader.queue->Delivered();
  reader.queue->Delivered();
  REQUIRE(reader.got.size() == 3);
  CHECK(reader.got[0]->container_id() == "a");
  CHECK(reader.got[1]->container_id() == "b");
  CHECK(reader.got[2]->container_id() == "c");
  CHECK(reader.got[0]->created_at() < reader.got[1]->created_at());
  CHECK(reader.got[1]->created_at() < reader.got[2]->created_at());
  Publish(hub, "d");
  CHECK(reader.got.size() == 4);
  CHECK(reader.ends.empty());
}

TEST_CASE("a slow subscriber is cut off with an error and the others go on") {
  Hub hub;
  Reader slow;
  Reader fast;
  REQUIRE(hub.Subscribe(slow.queue).ok());
  REQUIRE(hub.Subscribe(fast.queue).ok());
  slow.queue->Delivered();
  fast.queue->Delivered();
  const size_t many = Queue::kMaxEvents + 10;
  for (size_t i = 0; i < many; ++i) {
    Publish(hub, std::to_string(i));
    fast.queue->Delivered();
  }
  CHECK(fast.got.size() == many);
  CHECK(slow.got.size() == 1);
  CHECK(slow.ends.empty());  // its first event is still being sent
  slow.queue->Delivered();
  REQUIRE(slow.ends.size() == 1);
  CHECK(absl::IsResourceExhausted(slow.ends[0]));
  Publish(hub, "more");
  slow.queue->Delivered();
  slow.queue->Close(absl::CancelledError(""));
  CHECK(slow.got.size() == 1);
  CHECK(slow.ends.size() == 1);
}

TEST_CASE("what waits for a subscriber is bounded in bytes") {
  Hub hub;
  Reader reader;
  REQUIRE(hub.Subscribe(reader.queue).ok());
  Publish(hub, "huge", 2 * Queue::kMaxBytes);
  reader.queue->Delivered();
  REQUIRE(reader.got.size() == 1);  // alone it is not too large
  Publish(hub, "half", Queue::kMaxBytes / 2);
  Publish(hub, "half", Queue::kMaxBytes / 2);
  reader.queue->Delivered();
  REQUIRE(reader.ends.size() == 1);
  CHECK(absl::IsResourceExhausted(reader.ends[0]));
}

TEST_CASE("a queue is finished once, after what is being delivered") {
  Hub hub;
  Reader reader;
  REQUIRE(hub.Subscribe(reader.queue).ok());
  reader.queue->Delivered();
  Publish(hub, "a");
  Publish(hub, "b");
  reader.queue->Close(absl::CancelledError("gone"));
  CHECK(reader.ends.empty());
  reader.queue->Delivered();
  REQUIRE(reader.ends.size() == 1);
  CHECK(absl::IsCancelled(reader.ends[0]));
  CHECK(reader.got.size() == 1);
  hub.Unsubscribe(reader.queue);
  CHECK(hub.subscribers() == 0);
}

TEST_CASE("subscribers are bounded, and none is taken after Close") {
  Hub hub;
  std::vector<std::unique_ptr<Reader>> readers;
  for (size_t i = 0; i < Hub::kMaxSubscribers; ++i) {
    readers.push_back(std::make_unique<Reader>());
    REQUIRE(hub.Subscribe(readers.back()->queue).ok());
    readers.back()->queue->Delivered();
  }
  Reader late;
  CHECK(absl::IsResourceExhausted(hub.Subscribe(late.queue)));
  hub.Unsubscribe(readers[0]->queue);
  CHECK(hub.Subscribe(late.queue).ok());
  hub.Close();
  CHECK(readers[1]->ends.size() == 1);
  CHECK(absl::IsUnavailable(readers[1]->ends[0]));
  hub.Unsubscribe(late.queue);
  CHECK(absl::IsUnavailable(hub.Subscribe(late.queue)));
}

TEST_CASE("publishers on many threads: everybody sees the same order") {
  Hub hub;
  Reader first;
  Reader second;
  REQUIRE(hub.Subscribe(first.queue).ok());
  REQUIRE(hub.Subscribe(second.queue).ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&hub, t] {
      for (int i = 0; i < 200; ++i) Publish(hub, std::to_string(t) + "." + std::to_string(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i <= 800; ++i) {
    first.queue->Delivered();
    second.queue->Delivered();
  }
  REQUIRE(first.got.size() == 800);
  REQUIRE(second.got.size() == 800);
  for (size_t i = 0; i < 800; ++i) {
    REQUIRE(first.got[i] == second.got[i]);
    if (i > 0) REQUIRE(first.got[i - 1]->created_at() < first.got[i]->created_at());
  }
}

}  // namespace crisp::events
