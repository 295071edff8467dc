// Hands every event to every subscriber, in one order for all. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "events/queue.h"

namespace crisp::events {

class Hub {
 public:
  // kubelet needs one; a client that leaks subscriptions must not use the daemon up.
  static constexpr size_t kMaxSubscribers = 64;

  // From now on the queue gets every event. kResourceExhausted when there are too many subscribers,
  // kUnavailable after Close().
  absl::Status Subscribe(std::shared_ptr<Queue> queue);
  void Unsubscribe(const std::shared_ptr<Queue>& queue);

  // Makes the event and appends it to every queue in one step: what `fill` reads is never older
  // than what an earlier event showed. created_at is the wall clock before `fill` runs, and later
  // than that of any event before. Does nothing without subscribers; waits for none.
  void Publish(const std::function<void(::runtime::v1::ContainerEventResponse&)>& fill);

  // Ends all subscriptions; there are no new ones.
  void Close();

  size_t subscribers() const;

 private:
  mutable absl::Mutex mu_;
  std::vector<std::shared_ptr<Queue>> queues_ ABSL_GUARDED_BY(mu_);
  int64_t last_created_at_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace crisp::events
