// A call as the code below the RPC edge sees it: how long its caller waits, and whether the caller
// is still there. Made by rpc/; work without a caller uses Call::Until().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/deadline.h"
#include "base/unique_fd.h"

namespace crisp::base {

// Cancelled once, when the caller is gone. Thread-safe.
class CancelToken {
 public:
  void Cancel();
  // Takes no lock, so that it may be asked under any.
  bool cancelled() const { return cancelled_; }

  // For poll(2): readable once cancelled. Made at the first call (eventfd(2)); -1 when there is no
  // descriptor to be had, which poll ignores: then only the deadline ends the wait.
  int fd();

  // Calls `wake` on the cancelling thread, or at once when the token is cancelled already. After
  // the destructor `wake` is not running and is not called again.
  class Subscription {
   public:
    Subscription(CancelToken& token, std::function<void()> wake);
    ~Subscription();
    Subscription(const Subscription&) = delete;

   private:
    CancelToken& token_;
    uint64_t key_ = 0;
  };

 private:
  mutable absl::Mutex mu_;
  std::atomic<bool> cancelled_{false};
  UniqueFd event_ ABSL_GUARDED_BY(mu_);
  uint64_t next_key_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, std::function<void()>> wakes_ ABSL_GUARDED_BY(mu_);
};

struct Call {
  Deadline deadline;
  std::shared_ptr<CancelToken> cancel = std::make_shared<CancelToken>();

  static Call Until(Deadline deadline) { return {.deadline = deadline}; }
  // The same caller, with less time: the earlier of both deadlines.
  Call Before(Deadline earlier) const {
    return {.deadline = std::min(deadline, earlier), .cancel = cancel};
  }
  // kCancelled when the caller is gone, kDeadlineExceeded when its time is up.
  absl::Status Check() const;
};

}  // namespace crisp::base
