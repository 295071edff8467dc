// A netlink socket that threads use in turns, each for as long as its work takes. It is opened by
// the first one, whose network namespace it stays in, and then kept. Thread-safe.
#pragma once

#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/deadline.h"
#include "base/wait.h"
#include "cni/native/netlink.h"

namespace crisp::cni::native {

class SharedNetlink {
 public:
  // As for Netlink::Open().
  explicit SharedNetlink(int protocol) : protocol_(protocol) {}
  SharedNetlink(const SharedNetlink&) = delete;
  SharedNetlink& operator=(const SharedNetlink&) = delete;

  // The socket is one thread's until this ends.
  class Turn {
   public:
    Turn(Turn&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), opened_(other.opened_) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (owner_ != nullptr) owner_->GiveBack();
    }

    Netlink& operator*() const { return *owner_->netlink_; }
    Netlink* operator->() const { return &*owner_->netlink_; }
    // Whether it was opened for this turn.
    bool opened() const { return opened_; }
    // The last of this turn; the next one opens it again.
    void Close() { owner_->netlink_.reset(); }

   private:
    friend class SharedNetlink;
    explicit Turn(SharedNetlink* owner) : owner_(owner) {}
    SharedNetlink* owner_;
    bool opened_ = false;
  };

  // Waits for its turn, and gives the socket this deadline. kDeadlineExceeded when the threads
  // before it take too long: of a request, the kernel's part has no deadline (netlink.h).
  absl::StatusOr<Turn> Take(base::Deadline deadline);

 private:
  void GiveBack();

  const int protocol_;
  absl::Mutex mutex_;
  base::CondVar given_back_;
  bool taken_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Netlink> netlink_;  // of the thread that has the turn
};

}  // namespace crisp::cni::native
