#include "cni/native/collector.h"

#include "base/log.h"
#include "base/status_macros.h"

namespace crisp::cni::native {
namespace {

constexpr absl::Duration kDeleteTime = absl::Seconds(10);

}  // namespace

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

void Collector::Later(std::function<void()> job) {
  {
    absl::MutexLock lock(&mutex_);
    if (EnsureThread().ok()) {
      waiting_.emplace_back(base::Deadline::In(patience_), std::move(job));
      changed_.NotifyAll();
      return;
    }
  }
  job();
}

void Collector::Loop() {
  absl::MutexLock lock(&mutex_);
  while (!stop_ || !waiting_.empty()) {
    if (waiting_.empty()) {
      changed_.Wait(mutex_, base::Deadline::Never());
    } else if (!stop_ && !waiting_.front().first.Passed()) {
      changed_.Wait(mutex_, waiting_.front().first);
    } else {
      const std::function<void()> job = std::move(waiting_.front().second);
      waiting_.pop_front();
      mutex_.Unlock();
      job();
      mutex_.Lock();
    }
  }
}

// Another link may have got the name since, and another index.
void DeleteIfThere(const Link& link) {
  absl::StatusOr<Links> links = Links::Open(base::Deadline::In(kDeleteTime));
  absl::Status status = links.status();
  if (status.ok()) {
    const absl::StatusOr<Link> now = links->Find(link.name);
    if (!now.ok() || now->index != link.index) return;
    status = links->Delete(link);
  }
  if (status.ok()) return;
  base::Log(base::LogLevel::kWarning, "the link of a pod that is gone stays",
            {{"link", link.name}, {"error", std::string(status.message())}});
}

}  // namespace crisp::cni::native
