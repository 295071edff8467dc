#include "events/queue.h"

#include "absl/strings/str_cat.h"

namespace crisp::events {

void Queue::EndLocked(const absl::Status& why) {
  if (end_.has_value()) return;
  end_ = why;
  waiting_.clear();
  waiting_bytes_ = 0;
}

void Queue::Push(Event event) {
  absl::MutexLock lock(&mu_);
  if (end_.has_value()) return;
  waiting_bytes_ += event->ByteSizeLong();
  waiting_.push_back(std::move(event));
  // One event alone is never too large.
  if (waiting_.size() > kMaxEvents || (waiting_bytes_ > kMaxBytes && waiting_.size() > 1)) {
    EndLocked(absl::ResourceExhaustedError(
        absl::StrCat("events are read too slowly: more than ", kMaxEvents, " or ", kMaxBytes >> 20,
                     " MiB of them waited; list and subscribe again")));
  }
}

void Queue::Pump() {
  Event next;
  absl::Status end;
  {
    absl::MutexLock lock(&mu_);
    if (busy_ || finished_) return;
    if (end_.has_value()) {
      finished_ = true;
      end = *end_;
    } else if (!waiting_.empty()) {
      busy_ = true;
      next = std::move(waiting_.front());
      waiting_.pop_front();
      waiting_bytes_ -= next->ByteSizeLong();
    } else {
      return;
    }
  }
  next != nullptr ? deliver_(std::move(next)) : finish_(std::move(end));
}

void Queue::Delivered() {
  {
    absl::MutexLock lock(&mu_);
    busy_ = false;
  }
  Pump();
}

void Queue::Close(const absl::Status& why) {
  {
    absl::MutexLock lock(&mu_);
    EndLocked(why);
  }
  Pump();
}

}  // namespace crisp::events
