#include "rpc/call_budget.h"

#include "absl/strings/str_cat.h"

namespace crisp::rpc {

absl::StatusOr<CallBudget::Place> CallBudget::Enter() {
  absl::MutexLock lock(&mu_);
  if (in_flight_ >= limit_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("too many ", what_, " at once: at most ", limit_));
  }
  ++in_flight_;
  return Place(this, [this](void*) {
    absl::MutexLock release(&mu_);
    --in_flight_;
  });
}

}  // namespace crisp::rpc
