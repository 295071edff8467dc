// The events one subscriber has not been sent yet. Bounded: a subscriber that does not read costs a
// fixed amount of memory, is cut off, and delays no other. Knows nothing of the transport.
// Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "runtime/v1/api.pb.h"

namespace crisp::events {

// Shared by the queues of all subscribers.
using Event = std::shared_ptr<const ::runtime::v1::ContainerEventResponse>;

class Queue {
 public:
  static constexpr size_t kMaxEvents = 1024;
  static constexpr size_t kMaxBytes = 8 << 20;

  // `deliver` begins to send one event and returns; Delivered() is called when that is over, and
  // only then the next one is delivered. `finish` is called once, and nothing after it. Both are
  // called without a lock held. The queue is made busy: Delivered() opens it.
  Queue(std::function<void(Event)> deliver, std::function<void(absl::Status)> finish)
      : deliver_(std::move(deliver)), finish_(std::move(finish)) {}

  // Appends; kResourceExhausted becomes the subscriber's end when the queue is full. Never calls
  // back.
  void Push(Event event);
  // Begins a delivery if there is something to deliver and none is under way.
  void Pump();
  void Delivered();
  // The first reason counts; what waits is dropped. `finish` comes once nothing is being delivered.
  void Close(const absl::Status& why);

 private:
  void EndLocked(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::function<void(Event)> deliver_;
  const std::function<void(absl::Status)> finish_;
  absl::Mutex mu_;
  std::deque<Event> waiting_ ABSL_GUARDED_BY(mu_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool busy_ ABSL_GUARDED_BY(mu_) = true;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::events
