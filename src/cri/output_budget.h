// What all running ExecSyncs together may keep of their commands' output. Fair without a queue: a
// call may grow as long as it holds less than what is free, so one alone gets half of the total, n
// of them total / (n + 1) each, and a late one always finds room. Thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace crisp::cri {

class OutputBudget {
 public:
  explicit OutputBudget(size_t total_bytes) : free_(total_bytes) {}
  OutputBudget(const OutputBudget&) = delete;

  // One call's part of it; given back when destroyed. One thread.
  class Share {
   public:
    // `max_bytes`: more than this the call never needs.
    Share(OutputBudget& budget, size_t max_bytes) : budget_(budget), max_bytes_(max_bytes) {}
    ~Share() { budget_.Return(held_); }
    Share(const Share&) = delete;

    // How many of `wanted` bytes may be kept; they are the caller's from now on.
    size_t Take(size_t wanted) {
      const size_t taken = budget_.Take(std::min(wanted, max_bytes_ - held_), held_);
      held_ += taken;
      return taken;
    }

   private:
    OutputBudget& budget_;
    const size_t max_bytes_;
    size_t held_ = 0;
  };

 private:
  size_t Take(size_t wanted, size_t held);
  void Return(size_t bytes);

  absl::Mutex mu_;
  size_t free_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::cri
