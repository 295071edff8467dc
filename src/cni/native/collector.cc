#include "cni/native/collector.h"

#include <algorithm>

#include "base/status_macros.h"

namespace crisp::cni::native {

Collector::~Collector() {
  base::Thread thread;
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    changed_.NotifyAll();
    thread = std::move(thread_);
  }
  thread.Join();
}

absl::Status Collector::EnsureThread() {
  if (thread_.joinable()) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("cni later", [this] { Loop(); }));
  return absl::OkStatus();
}

bool Collector::Waits(Job job) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const Waiting& waiting) { return waiting.job == job; });
}

void Collector::Later(Job job, Work work) {
  {
    absl::MutexLock lock(&mutex_);
    if (Waits(job)) return;
    if (EnsureThread().ok()) {
      waiting_.push_back({job, base::Deadline::In(patience_), std::move(work)});
      changed_.NotifyAll();
      return;
    }
  }
  work();
}

void Collector::Loop() {
  absl::MutexLock lock(&mutex_);
  while (!stop_ || !waiting_.empty()) {
    if (waiting_.empty()) {
      changed_.Wait(mutex_, base::Deadline::Never());
    } else if (!stop_ && !waiting_.front().start.Passed()) {
      changed_.Wait(mutex_, waiting_.front().start);
    } else {
      Waiting now = std::move(waiting_.front());
      waiting_.pop_front();
      mutex_.Unlock();
      const bool done = now.work();
      mutex_.Lock();
      if (done || stop_ || Waits(now.job)) continue;
      now.start = base::Deadline::In(patience_);
      waiting_.push_back(std::move(now));
    }
  }
}

}  // namespace crisp::cni::native
