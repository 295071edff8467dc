// A container: its record, what is known of its process, its state.
//
//   CreateContainer        StartContainer           init ended, start failed, shim died
//   ------------> CREATED ------------> RUNNING -------------------------> EXITED --> (removed)
//                    |                                                       ^
//                    +-------- start failed; /run emptied by a reboot -------+
//
// The state is derived: EXITED iff the record has an outcome, else RUNNING iff its process was
// started, else CREATED. It never goes backwards, and UNKNOWN does not exist. These hold at any
// time and are checked (base/check.h): a container starts at most once and never after its end, and
// its first outcome stays.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/id.h"
#include "base/wait.h"
#include "cgroup/meter.h"
#include "linux/open_files.h"
#include "linux/process_ref.h"
#include "snapshot/usage.h"
#include "store/record.h"
#include "store/recorded.h"

namespace crisp::container {

// The container's first process, as its shim reported it.
struct Init {
  linux::ProcessRef process;
  int64_t started_at_ns = 0;                            // wall clock
  std::vector<std::pair<std::string, int64_t>> phases;  // step and nanoseconds
};

// Thread-safe. Shared: the index and running operations hold it.
class Container {
 public:
  // `directory` is borrowed and outlives this.
  Container(store::ContainerRecord record, const store::RecordDirectory* directory);

  const base::ContainerId& id() const { return id_; }
  const base::SandboxId& sandbox_id() const { return sandbox_id_; }
  store::ContainerRecord record() const { return record_.Get(); }
  template <typename Reader>
  auto Read(Reader read) const {
    return record_.Read(read);
  }
  absl::Status Update(const std::function<void(store::ContainerRecord&)>& change) {
    return record_.Update(change);
  }

  ::runtime::v1::ContainerState state() const;
  // Set once by a successful start; kept after the exit.
  std::optional<Init> init() const;
  // After MarkStarted and before the exit is known.
  bool running() const { return state() == ::runtime::v1::CONTAINER_RUNNING; }

  void MarkStarted(Init init);
  // The first outcome counts. Kept in memory even if the record cannot be written (returned then).
  // `announce` is called when readers see the new state and before WaitExited returns.
  absl::Status MarkExited(const store::Outcome& outcome, const std::function<void()>& announce);
  // The same without writing, so it does not wait for the disk: for an exit that a restart would
  // find in the shim's exit record. WriteRecord() is to follow.
  void PublishExit(const store::Outcome& outcome, const std::function<void()>& announce);
  absl::Status WriteRecord() { return record_.Write(); }
  // True for the first caller: a container is sent its stop signal once, however often it is
  // stopped.
  bool TakeStopSignal() { return !stop_signal_sent_.exchange(true); }
  // The signal could not be sent: the next caller is the first again.
  void ReturnStopSignal() { stop_signal_sent_ = false; }
  // Waits for an outcome that is announced. False when time is up.
  bool WaitExited(base::Deadline deadline) const { return exited_.Wait(deadline); }
  // The same for a caller that may leave: kCancelled, kDeadlineExceeded.
  absl::Status WaitExited(const base::Call& call) const { return exited_.Wait(call); }

  cgroup::Meter& meter() { return meter_; }

  // What runtime/measurer.h has measured last; absent before the first time.
  std::optional<snapshot::MeasuredUsage> layer_usage() const;
  void SetLayerUsage(const snapshot::MeasuredUsage& usage);
  std::optional<linux::OpenFiles> open_files() const;
  void SetOpenFiles(const linux::OpenFiles& files);

  // Serializes Start, Remove and UpdateContainerResources. Never held while waiting for a container
  // to end by itself.
  absl::Mutex& operation() ABSL_LOCK_RETURNED(operation_) { return operation_; }

 private:
  const base::ContainerId id_;
  const base::SandboxId sandbox_id_;
  absl::Mutex operation_;
  std::atomic<bool> stop_signal_sent_{false};
  mutable absl::Mutex mu_;
  std::optional<Init> init_ ABSL_GUARDED_BY(mu_);
  std::optional<snapshot::MeasuredUsage> layer_usage_ ABSL_GUARDED_BY(mu_);
  std::optional<linux::OpenFiles> open_files_ ABSL_GUARDED_BY(mu_);
  base::Latch exited_;  // follows the record's outcome, once it is announced
  cgroup::Meter meter_;
  store::Recorded<store::ContainerRecord> record_;
};

using ContainerPtr = std::shared_ptr<Container>;

}  // namespace crisp::container
