// One thread that runs small jobs in order and retries those that ask for it: freeing what an exit
// left, the cleanup a sandbox has pending. Retries follow the monotonic clock. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/wait.h"

namespace crisp::runtime {

class Background {
 public:
  // A job returns whether it is done; otherwise it is run again after a pause that doubles from 1 s
  // to 1 min.
  using Job = std::function<bool()>;

  ~Background() { Stop(); }
  absl::Status Start();
  // Waits for the running job; those not run yet are dropped: what they clean up is on record, and
  // the next crispd does it.
  void Stop();
  // Replaces a queued job of the same key.
  void Add(const std::string& key, Job job, absl::Duration delay = absl::ZeroDuration());

 private:
  struct Entry {
    Job job;
    base::Deadline due;
    absl::Duration pause = absl::Seconds(1);
  };

  void Run();
  base::Deadline NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Mutex mu_;
  base::CondVar changed_;
  std::map<std::string, Entry> jobs_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  base::Thread thread_;
};

}  // namespace crisp::runtime
