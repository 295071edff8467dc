#include "runtime/pending_starts.h"

#include "absl/strings/str_cat.h"

namespace crisp::runtime {

absl::StatusOr<PendingStarts::Place> PendingStarts::Enter(const std::string& container_id) {
  absl::MutexLock lock(&mu_);
  int& pending = pending_[container_id];
  if (pending >= kMaxOfContainer) {
    return absl::ResourceExhaustedError(absl::StrCat("container ", container_id, " has ", pending,
                                                     " execs that do not run yet, the most"));
  }
  ++pending;
  return Place(this, [this, container_id](void*) {
    absl::MutexLock release(&mu_);
    const auto found = pending_.find(container_id);
    if (--found->second == 0) pending_.erase(found);
  });
}

}  // namespace crisp::runtime
