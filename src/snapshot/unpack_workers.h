// Where a layer's decoder and untarrer run (unpack_roles.h): processes of their own
// (unpack_processes.h). Fuzzing runs them on threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "snapshot/unpack_isolation.h"
#include "snapshot/unpack_limits.h"

namespace crisp::snapshot {

// A running decoder or untarrer. Owned by one thread at a time, except for Kill().
class UnpackWorker {
 public:
  virtual ~UnpackWorker() = default;
  // Makes it end soon; its sockets are closed then. From any thread.
  virtual void Kill() = 0;
  // Kills it and waits for its end. An error when it does not end: it may still write.
  virtual absl::Status Stop() = 0;
  // Of a worker that has closed its sockets without a result: why.
  virtual absl::Status WhyGone() = 0;
};

// Thread-safe.
class UnpackWorkers {
 public:
  virtual ~UnpackWorkers() = default;
  // `fds` (borrowed) become the descriptors from 0, as unpack_main.h lists them; -1 for none, and
  // for what Start() provides itself.
  virtual absl::StatusOr<std::unique_ptr<UnpackWorker>> Start(UnpackRole role,
                                                              const UnpackLimits& limits,
                                                              const std::vector<int>& fds) = 0;
  // The directory of a layer, as the untarrer gets it: nothing else can be reached from there.
  virtual absl::StatusOr<base::UniqueFd> OpenLayer(const std::string& directory) = 0;
  // The same for the lower layers, merged and read-only; `names` are relative to `base`, top-most
  // first, at least one.
  virtual absl::StatusOr<base::UniqueFd> OpenLower(const std::string& base,
                                                   const std::vector<std::string>& names) = 0;
};

}  // namespace crisp::snapshot
