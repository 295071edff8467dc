#include "runtime/output_budget.h"

namespace crisp::runtime {

size_t OutputBudget::Take(size_t wanted, size_t held) {
  if (wanted == 0) return 0;
  absl::MutexLock lock(&mu_);
  // Half of the difference: afterwards the call holds at most what is free.
  const size_t taken = std::min(wanted, free_ > held ? (free_ - held) / 2 : 0);
  free_ -= taken;
  return taken;
}

void OutputBudget::Return(size_t bytes) {
  absl::MutexLock lock(&mu_);
  free_ += bytes;
}

}  // namespace crisp::runtime
