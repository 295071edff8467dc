// Execs that were asked for and whose process does not run yet. A container can keep its own from
// running (it may stop them), so each has a limit: what they hold meanwhile, descriptors of crispd
// and processes of the shim, stays small whatever a container does. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace crisp::runtime {

class PendingStarts {
 public:
  // Half of the execs that a shim takes at all.
  static constexpr int kMaxOfContainer = 128;

  // One pending exec, until the last copy is gone; must not outlive this.
  using Place = std::shared_ptr<void>;
  // kResourceExhausted when kMaxOfContainer of the container are pending.
  absl::StatusOr<Place> Enter(const std::string& container_id);

 private:
  absl::Mutex mu_;
  std::map<std::string, int> pending_ ABSL_GUARDED_BY(mu_);
};

}  // namespace crisp::runtime
