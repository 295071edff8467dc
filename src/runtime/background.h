// One thread that runs small jobs in order and retries those that ask for it: freeing what an exit
// left, paying a sandbox's debts. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace crisp::cri {

class Background {
 public:
  // A job returns whether it is done; otherwise it is run again after a pause that doubles from 1 s
  // to 1 min.
  using Job = std::function<bool()>;

  ~Background() { Stop(); }
  void Start();
  // Waits for the running job; those not run yet are dropped (their debts are on record).
  void Stop();
  // A job whose key is queued already replaces it.
  void Add(const std::string& key, Job job, absl::Duration delay = absl::ZeroDuration());

 private:
  struct Entry {
    Job job;
    absl::Time due;
    absl::Duration pause = absl::Seconds(1);
  };

  void Run();
  absl::Time NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  absl::CondVar changed_;
  std::map<std::string, Entry> jobs_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace crisp::cri
