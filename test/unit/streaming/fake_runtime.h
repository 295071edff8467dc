// A StreamingRuntime whose containers are plain child processes of the test.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "streaming/runtime.h"

namespace crisp::streaming {

class FakeRuntime : public StreamingRuntime {
 public:
  // Calls that are running keep it alive after the runtime is gone.
  struct Record {
    std::atomic<int> pending = 0;  // ProcessStart objects
    std::atomic<int> started = 0;
    std::atomic<int> waited = 0;
    std::atomic<int> killed = 0;
    std::atomic<int> sockets = 0;  // PodSocket()
    std::atomic<int> alive = 0;    // ProcessControl objects
    absl::Mutex mutex;
    std::vector<std::pair<int, int>> sizes ABSL_GUARDED_BY(mutex);  // columns, rows
  };

  // Runs the command. A container id "missing" fails with kNotFound. In the container "stopped" no
  // process ever starts.
  absl::StatusOr<PendingProcess> Exec(const ExecRequest& request) override;
  // Runs `attach_command`. Kill() does not kill it, because an attachment leaves its process alone.
  absl::StatusOr<PendingProcess> Attach(const AttachRequest& request) override;
  // The test process stands for the pod.
  absl::StatusOr<base::UniqueFd> PodSocket(const std::string& sandbox_id, int family) override;

  std::vector<std::string> attach_command = {"cat"};
  const std::shared_ptr<Record> record = std::make_shared<Record>();

 private:
  absl::StatusOr<PendingProcess> Begin(const std::string& container_id,
                                       std::function<absl::StatusOr<Process>()> run);
  absl::StatusOr<Process> Run(const std::vector<std::string>& command, const Streams& streams,
                              bool is_exec);
};

}  // namespace crisp::streaming
