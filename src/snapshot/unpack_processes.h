// Starts the decoders and untarrers of layers as processes, of the program crisp-unpack.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "snapshot/unpack_workers.h"

namespace crisp::snapshot {

// Thread-safe.
class UnpackProcesses : public UnpackWorkers {
 public:
  // Opens `program` once: all processes of one crispd are of one version, although an upgrade
  // replaces the file.
  static absl::StatusOr<std::unique_ptr<UnpackProcesses>> Open(const std::string& program,
                                                               int max_processes = kMaxProcesses);
  // Ends what has not ended. A process that does not is left to the next crispd.
  ~UnpackProcesses() override;
  // They start in a cgroup2 group at `directory`, which exists while one of them does. Ends what an
  // earlier crispd left there: the processes end when crispd does, but one that a layer has taken
  // over may not. To be called before the first Start().
  absl::Status UseGroup(const std::string& directory);

  absl::StatusOr<std::unique_ptr<UnpackWorker>> Start(UnpackRole role, const UnpackLimits& limits,
                                                      const std::vector<int>& fds) override;
  absl::StatusOr<base::UniqueFd> OpenLayer(const std::string& directory) override;
  absl::StatusOr<base::UniqueFd> OpenLower(const std::string& base,
                                           const std::vector<std::string>& names) override;

 private:
  class Process;
  // 8 for each of the 256 pulls that run at once (rpc/call_budget.h); image/layer_fetch.h says why
  // none has more. So no pull can take what another needs.
  static constexpr int kMaxProcesses = 2048;
  UnpackProcesses(base::UniqueFd program, int max_processes)
      : program_(std::move(program)), max_processes_(max_processes) {}
  // What all processes have in common.
  struct Shared {
    base::UniqueFd mounts;  // the empty mount namespace
    base::UniqueFd group;   // the group's directory, invalid without one
  };
  // Makes what is missing of it. kResourceExhausted when there are too many; otherwise Leave()
  // is to be called once.
  absl::StatusOr<const Shared*> Enter();
  void Leave();

  const base::UniqueFd program_;
  const int max_processes_;
  std::string group_directory_;  // empty: none
  absl::Mutex mu_;
  int processes_ ABSL_GUARDED_BY(mu_) = 0;
  Shared shared_;  // changed under `mu_`, while none runs
};

}  // namespace crisp::snapshot
