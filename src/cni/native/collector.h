// Does later what would make DEL wait, and may not be needed any more by then. A pod's veth goes
// with the pod's network namespace, which the kernel takes apart by itself, many at a time. To
// delete it costs DEL 10 to 40 ms, in which the kernel makes no other pod's link. What is still
// there after a while is in a namespace that something else holds. Thread-safe.
#pragma once

#include <deque>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/wait.h"

namespace crisp::cni::native {

class Collector {
 public:
  // Jobs are few: each does what many DELs have put off.
  enum class Job { kLinks, kTables };

  explicit Collector(absl::Duration patience = absl::Seconds(5)) : patience_(patience) {}
  // Does at once what waits.
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Whether it is done; otherwise it is tried again, but not after the collector's end.
  using Work = std::function<bool()>;

  // Runs `work` once the time is over, on a thread in the network namespace of the first caller; at
  // once, and once only, when the kernel refuses the thread. Nothing when the job waits already:
  // what waits begins after this call. Jobs run one after the other.
  void Later(Job job, Work work);

 private:
  struct Waiting {
    Job job;
    base::Deadline start;
    Work work;
  };

  absl::Status EnsureThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Waits(Job job) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Loop();

  const absl::Duration patience_;
  absl::Mutex mutex_;
  base::CondVar changed_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);  // oldest first
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  base::Thread thread_ ABSL_GUARDED_BY(mutex_);  // started with the first job
};

}  // namespace crisp::cni::native
