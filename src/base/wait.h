// Waiting on CLOCK_MONOTONIC. absl::Mutex and absl::CondVar turn every timeout into a wall-clock
// time (Abseil 20220623), so a step of the wall clock would cut a wait short or prolong it.
#pragma once

#include <chrono>
#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/call.h"
#include "base/deadline.h"

namespace crisp::base {

// A condition variable for absl::Mutex. Like every condition variable it may wake without a
// reason: wait in a loop. Thread-safe.
class CondVar {
 public:
  void NotifyAll() { changed_.notify_all(); }
  // Wakes one of those that wait, if any does.
  void NotifyOne() { changed_.notify_one(); }

  // Returns when notified or when `deadline` has passed.
  void Wait(absl::Mutex& mu, Deadline deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

 private:
  std::condition_variable_any changed_;
};

// Something that happens once. Thread-safe.
class Latch {
 public:
  void Set();
  bool is_set() const;

  // False when `deadline` passed first.
  bool Wait(Deadline deadline) const;
  // OK once it has happened; kCancelled when the caller left, kDeadlineExceeded when its time was
  // up first.
  absl::Status Wait(const Call& call) const;

 private:
  mutable absl::Mutex mu_;
  mutable CondVar changed_;
  bool set_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace crisp::base
