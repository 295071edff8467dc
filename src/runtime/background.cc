#include "runtime/background.h"

#include <pthread.h>

#include <algorithm>

namespace crisp::runtime {

void Background::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Background::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Background::Add(const std::string& key, Job job, absl::Duration delay) {
  absl::MutexLock lock(&mu_);
  jobs_[key] = {.job = std::move(job), .due = base::Deadline::In(delay)};
  changed_.NotifyAll();
}

base::Deadline Background::NextDue() const {
  base::Deadline next;
  for (const auto& [key, entry] : jobs_) next = std::min(next, entry.due);
  return next;
}

void Background::Run() {
  pthread_setname_np(pthread_self(), "background");
  absl::MutexLock lock(&mu_);
  while (!stopping_) {
    auto due = std::find_if(jobs_.begin(), jobs_.end(),
                            [](const auto& job) { return job.second.due.Passed(); });
    if (due == jobs_.end()) {
      changed_.Wait(mu_, NextDue());
      continue;
    }
    const std::string key = due->first;
    Entry entry = std::move(due->second);
    jobs_.erase(due);
    mu_.Unlock();
    const bool done = entry.job();
    mu_.Lock();
    if (done || jobs_.count(key) > 0) continue;
    entry.due = base::Deadline::In(entry.pause);
    entry.pause = std::min(entry.pause * 2, absl::Minutes(1));
    jobs_[key] = std::move(entry);
  }
}

}  // namespace crisp::runtime
