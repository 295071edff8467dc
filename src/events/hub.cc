#include "events/hub.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/clock.h"

namespace crisp::events {

absl::Status Hub::Subscribe(std::shared_ptr<Queue> queue) {
  absl::MutexLock lock(&mu_);
  if (closed_) return absl::UnavailableError("crispd is stopping");
  if (queues_.size() >= kMaxSubscribers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", kMaxSubscribers, " subscribers to events already"));
  }
  queues_.push_back(std::move(queue));
  return absl::OkStatus();
}

void Hub::Unsubscribe(const std::shared_ptr<Queue>& queue) {
  absl::MutexLock lock(&mu_);
  queues_.erase(std::remove(queues_.begin(), queues_.end(), queue), queues_.end());
}

void Hub::Publish(const std::function<void(::runtime::v1::ContainerEventResponse&)>& fill) {
  std::vector<std::shared_ptr<Queue>> queues;
  {
    absl::MutexLock lock(&mu_);
    if (queues_.empty()) return;
    auto event = std::make_shared<::runtime::v1::ContainerEventResponse>();
    last_created_at_ = std::max(base::WallNanos(), last_created_at_ + 1);
    event->set_created_at(last_created_at_);
    fill(*event);
    for (const std::shared_ptr<Queue>& queue : queues_) queue->Push(event);
    queues = queues_;
  }
  for (const std::shared_ptr<Queue>& queue : queues) queue->Pump();
}

void Hub::Close() {
  std::vector<std::shared_ptr<Queue>> queues;
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    queues = queues_;
  }
  for (const std::shared_ptr<Queue>& queue : queues)
    queue->Close(absl::UnavailableError("crispd is stopping"));
}

size_t Hub::subscribers() const {
  absl::MutexLock lock(&mu_);
  return queues_.size();
}

}  // namespace crisp::events
