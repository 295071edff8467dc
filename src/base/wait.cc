#include "base/wait.h"

namespace crisp::base {
namespace {

// What std::condition_variable_any calls a lock.
struct LockOf {
  absl::Mutex& mu;
  void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mu.Lock(); }
  void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mu.Unlock(); }
};

}  // namespace

void CondVar::Wait(absl::Mutex& mu, Deadline deadline) {
  LockOf lock{mu};
  if (deadline.is_never()) return changed_.wait(lock);
  // steady_clock is CLOCK_MONOTONIC in libstdc++, and its wait is pthread_cond_clockwait(3).
  changed_.wait_until(lock, std::chrono::steady_clock::time_point(
                                std::chrono::nanoseconds(deadline.monotonic_ns())));
}

void Latch::Set() {
  absl::MutexLock lock(&mu_);
  set_ = true;
  changed_.NotifyAll();
}

bool Latch::is_set() const {
  absl::MutexLock lock(&mu_);
  return set_;
}

bool Latch::Wait(Deadline deadline) const {
  absl::MutexLock lock(&mu_);
  while (!set_ && !deadline.Passed()) changed_.Wait(mu_, deadline);
  return set_;
}

absl::Status Latch::Wait(const Call& call) const {
  if (is_set()) return absl::OkStatus();
  const CancelToken::Subscription wake(*call.cancel, [this] {
    absl::MutexLock lock(&mu_);
    changed_.NotifyAll();
  });
  absl::MutexLock lock(&mu_);
  while (!set_) {
    const absl::Status caller = call.Check();
    if (!caller.ok()) return caller;
    changed_.Wait(mu_, call.deadline);
  }
  return absl::OkStatus();
}

}  // namespace crisp::base
