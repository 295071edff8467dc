#include "runtime/background.h"

#include <algorithm>

#include "base/failpoint.h"
#include "base/status_macros.h"

namespace crisp::runtime {

absl::Status Background::StartLane(Lane lane, int threads) {
  for (int i = 0; i < threads; ++i) {
    CRISP_ASSIGN_OR_RETURN(base::Thread worker,
                           base::StartThread("background", [this, lane] { Run(lane); }));
    workers_.push_back(std::move(worker));
  }
  return absl::OkStatus();
}

absl::Status Background::Start() {
  CRISP_RETURN_IF_ERROR(StartLane(Lane::kKernel, threads_.kernel));
  CRISP_RETURN_IF_ERROR(StartLane(Lane::kPlugins, threads_.plugins));
  return StartLane(Lane::kDisk, threads_.disk);
}

void Background::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (base::Thread& worker : workers_) worker.Join();
}

void Background::Add(const std::string& key, Job job, absl::Duration delay, Lane lane) {
  absl::MutexLock lock(&mu_);
  jobs_.insert_or_assign(
      key, Entry{.job = std::move(job), .due = base::Deadline::In(delay), .lane = lane});
  changed_.NotifyAll();
}

Background::Jobs::iterator Background::Next(Lane lane) {
  auto next = jobs_.end();
  for (auto job = jobs_.begin(); job != jobs_.end(); ++job) {
    if (job->second.lane != lane || running_.count(job->first) > 0) continue;
    if (next == jobs_.end() || job->second.due < next->second.due) next = job;
  }
  return next;
}

void Background::Run(Lane lane) {
  absl::MutexLock lock(&mu_);
  while (true) {
    const auto next = Next(lane);
    const bool due = next != jobs_.end() && next->second.due.Passed();
    if (stopping_ && !(due && lane == Lane::kDisk)) return;
    if (due) {
      RunJob(next);
    } else {
      changed_.Wait(mu_, next == jobs_.end() ? base::Deadline::Never() : next->second.due);
    }
  }
}

void Background::RunJob(Jobs::iterator next) {
  const std::string key = next->first;
  Entry entry = std::move(next->second);
  jobs_.erase(next);
  running_.insert(key);
  mu_.Unlock();
  base::Failpoint("background: job taken");
  const bool done = entry.job();
  base::Failpoint("background: job done");
  mu_.Lock();
  running_.erase(key);
  if (!done && jobs_.count(key) == 0) {
    entry.due = base::Deadline::In(entry.pause);
    entry.pause = std::min(entry.pause * 2, absl::Minutes(1));
    jobs_.insert_or_assign(key, std::move(entry));
  }
  changed_.NotifyAll();  // a job of this key may wait for its turn
}

}  // namespace crisp::runtime
