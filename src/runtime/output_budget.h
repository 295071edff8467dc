// What all running ExecSyncs together may keep of their commands' output. Every call may keep
// kCertainBytes, more than any probe prints. Beyond that it may grow as long as it holds less than
// what is free: one call alone gets half of the total, n that grow side by side get total / (n + 1)
// each, and one that comes when others are full gets half of what they left. No call waits for
// another. Thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace crisp::runtime {

class OutputBudget {
 public:
  static constexpr size_t kCertainBytes = 64 << 10;  // of each call, not counted in the total

  explicit OutputBudget(size_t total_bytes) : free_(total_bytes) {}
  OutputBudget(const OutputBudget&) = delete;

  // One call's part of it; given back when destroyed. One thread.
  class Share {
   public:
    // `max_bytes`: more than this the call never needs.
    Share(OutputBudget& budget, size_t max_bytes) : budget_(budget), max_bytes_(max_bytes) {}
    ~Share() { budget_.Return(shared_); }
    Share(const Share&) = delete;

    // How many of `wanted` bytes may be kept; they are the caller's from now on.
    size_t Take(size_t wanted) {
      wanted = std::min(wanted, max_bytes_ - certain_ - shared_);
      const size_t certain = std::min(wanted, kCertainBytes - certain_);
      const size_t shared = budget_.Take(wanted - certain, shared_);
      certain_ += certain;
      shared_ += shared;
      return certain + shared;
    }

   private:
    OutputBudget& budget_;
    const size_t max_bytes_;
    size_t certain_ = 0;
    size_t shared_ = 0;
  };

 private:
  size_t Take(size_t wanted, size_t held);
  void Return(size_t bytes);

  absl::Mutex mu_;
  size_t free_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::runtime
