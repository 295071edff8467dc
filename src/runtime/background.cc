#include "runtime/background.h"

#include <pthread.h>

#include <algorithm>

#include "absl/time/clock.h"

namespace crisp::cri {

void Background::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Background::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void Background::Add(const std::string& key, Job job, absl::Duration delay) {
  absl::MutexLock lock(&mu_);
  jobs_[key] = {.job = std::move(job), .due = absl::Now() + delay};
  changed_.Signal();
}

absl::Time Background::NextDue() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [key, entry] : jobs_) next = std::min(next, entry.due);
  return next;
}

void Background::Run() {
  pthread_setname_np(pthread_self(), "background");
  absl::MutexLock lock(&mu_);
  while (!stopping_) {
    const absl::Time now = absl::Now();
    auto due = std::find_if(jobs_.begin(), jobs_.end(),
                            [now](const auto& job) { return job.second.due <= now; });
    if (due == jobs_.end()) {
      changed_.WaitWithDeadline(&mu_, NextDue());
      continue;
    }
    const std::string key = due->first;
    Entry entry = std::move(due->second);
    jobs_.erase(due);
    mu_.Unlock();
    const bool done = entry.job();
    mu_.Lock();
    if (done || jobs_.count(key) > 0) continue;
    entry.due = absl::Now() + entry.pause;
    entry.pause = std::min(entry.pause * 2, absl::Minutes(1));
    jobs_[key] = std::move(entry);
  }
}

}  // namespace crisp::cri
