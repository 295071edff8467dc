#include "cni/native/shared_netlink.h"

#include "base/status_macros.h"

namespace crisp::cni::native {

absl::StatusOr<SharedNetlink::Turn> SharedNetlink::Take(base::Deadline deadline) {
  {
    absl::MutexLock lock(&mutex_);
    while (taken_ && !deadline.Passed()) given_back_.Wait(mutex_, deadline);
    if (taken_) return absl::DeadlineExceededError("netlink: other requests take too long");
    taken_ = true;
  }
  Turn turn(this);
  if (!netlink_.has_value()) {
    CRISP_ASSIGN_OR_RETURN(netlink_, Netlink::Open(protocol_, deadline));
    turn.opened_ = true;
  }
  netlink_->SetDeadline(deadline);
  return turn;
}

void SharedNetlink::GiveBack() {
  if (netlink_.has_value() && !netlink_->usable()) netlink_.reset();
  absl::MutexLock lock(&mutex_);
  taken_ = false;
  // One is enough, because whoever wakes up takes the turn, also one whose time has just passed.
  given_back_.NotifyOne();
}

}  // namespace crisp::cni::native
