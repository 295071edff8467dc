#include "runtime/background.h"

#include <algorithm>

#include "base/status_macros.h"

namespace crisp::runtime {

absl::Status Background::Start() {
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("background", [this] { Run(); }));
  return absl::OkStatus();
}

void Background::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
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
