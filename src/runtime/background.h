// Small jobs on threads of their own: freeing what an exit left, the cleanup a sandbox has pending.
// Those that fail are run again until they succeed. Jobs that run programs which may hang (CNI
// plugins) and those that wait for the disk are in lanes of their own, so that they hold up nobody
// else. In each lane the job that has been due for longest runs next, so a job that always fails
// holds up no other for ever. Retries follow the monotonic clock. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/wait.h"

namespace crisp::runtime {

enum class Lane {
  kKernel,   // waits for the kernel and for shims: seconds at most
  kPlugins,  // waits for CNI plugins: until their deadline
  kDisk,     // waits for the disk with the records, which may hang
};

class Background {
 public:
  // A job returns whether it is done; otherwise it is run again after a pause that doubles from 1 s
  // to 1 min.
  using Job = std::function<bool()>;

  // Threads of each lane: as many jobs of it run at the same time.
  struct Threads {
    int kernel = 4;
    int plugins = 8;
    int disk = 4;
  };
  Background() : Background(Threads()) {}
  explicit Background(const Threads& threads) : threads_(threads) {}
  ~Background() { Stop(); }

  absl::Status Start();
  // Waits for the running jobs, and runs those of the disk's lane that are due. The others are
  // dropped: what they clean up is on record, and the next crispd does it.
  void Stop();
  // Replaces a queued job of the same key. While one of the same key runs, this one waits for its
  // end, and it is not run again.
  void Add(const std::string& key, Job job, absl::Duration delay = absl::ZeroDuration(),
           Lane lane = Lane::kKernel);

 private:
  struct Entry {
    Job job;
    base::Deadline due;
    Lane lane;
    absl::Duration pause = absl::Seconds(1);
  };
  using Jobs = std::map<std::string, Entry>;

  absl::Status StartLane(Lane lane, int threads);
  void Run(Lane lane);
  void RunJob(Jobs::iterator next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The job of the lane that is due first and may run; end() without one.
  Jobs::iterator Next(Lane lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Threads threads_;
  std::vector<base::Thread> workers_;
  absl::Mutex mu_;
  base::CondVar changed_;
  Jobs jobs_ ABSL_GUARDED_BY(mu_);                      // that wait, by key
  std::set<std::string> running_ ABSL_GUARDED_BY(mu_);  // keys
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace crisp::runtime
