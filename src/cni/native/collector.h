// Does later what would make DEL wait, and may not be needed any more by then. A pod's veth goes
// with the pod's network namespace, which the kernel takes apart by itself, many at a time. To
// delete it costs DEL 10 to 40 ms, in which the kernel makes no other pod's link. What is still
// there after a while is in a namespace that something else holds. Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/wait.h"
#include "cni/native/links.h"

namespace crisp::cni::native {

class Collector {
 public:
  explicit Collector(absl::Duration patience = absl::Seconds(5)) : patience_(patience) {}
  // Does at once what waits.
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Runs `job` once the time is over, on a thread in the network namespace of the first caller; at
  // once when the kernel refuses the thread. Jobs run one after the other.
  void Later(std::function<void()> job);

 private:
  absl::Status EnsureThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Loop();

  const absl::Duration patience_;
  absl::Mutex mutex_;
  base::CondVar changed_;
  std::deque<std::pair<base::Deadline, std::function<void()>>> waiting_
      ABSL_GUARDED_BY(mutex_);  // oldest first
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  base::Thread thread_ ABSL_GUARDED_BY(mutex_);  // started with the first job
};

// Deletes the link, if there still is one with its name and index.
void DeleteIfThere(const Link& link);

}  // namespace crisp::cni::native
