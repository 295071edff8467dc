// A pod sandbox: its record, its pause process, its state.
//
//            RunPodSandbox acknowledged         StopPodSandbox, or pause died
//   (hidden) ---------------------------> READY -----------------------> NOTREADY --> (removed)
//       |                                                                                 ^
//       +------------- RunPodSandbox failed, or crispd died in the middle of it ----------+
//
// The state is derived: READY iff the record says ready and not stopped, and the pause process
// lives. These hold at any time and are checked (base/check.h): a pause is launched at most once,
// only one that was launched can end, and NOTREADY never becomes READY.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/id.h"
#include "base/wait.h"
#include "cgroup/meter.h"
#include "cni/netns.h"
#include "linux/process_ref.h"
#include "store/record.h"
#include "store/recorded.h"

namespace crisp::sandbox {

// One named part of RunPodSandbox and how long it took.
struct Phase {
  std::string name;
  int64_t duration_ns = 0;
};

// Thread-safe. Shared: the index and running operations hold it.
class Sandbox {
 public:
  // `directory` is borrowed and outlives this.
  Sandbox(store::SandboxRecord record, const store::RecordDirectory* directory);

  const base::SandboxId& id() const { return id_; }
  store::SandboxRecord record() const { return record_.Get(); }
  template <typename Reader>
  auto Read(Reader read) const {
    return record_.Read(read);
  }
  absl::Status Update(const std::function<void(store::SandboxRecord&)>& change) {
    return record_.Update(change);
  }
  // StopPodSandbox was asked; in memory even if the record cannot be written.
  void MarkStopped();
  // Strikes cleanup steps off the record. When the record cannot be written they are only done once
  // more by the next crispd.
  void CleanupDone(const std::set<store::Cleanup>& steps);

  bool ready() const;
  // Acknowledged once, so clients may know of it: hidden sandboxes are not listed.
  bool visible() const;
  // The pause is watched, and its end will be reported by PauseGone.
  void MarkLaunched(const linux::ProcessRef& pause);
  // The pause that this crispd has seen alive, whether it still is or not. None of one that ended
  // before: after a restart of the host its pid may be another process's.
  std::optional<linux::ProcessRef> pause() const;
  // RunPodSandbox has done all its parts. False when the pause has ended already.
  bool SetPhases(std::vector<Phase> phases);
  // Empty if an earlier crispd has made the sandbox.
  std::vector<Phase> phases() const;
  // The pause process has ended. `announce` is called when readers see the new state and
  // before WaitPauseGone returns, unless clients do not know the sandbox yet.
  void PauseGone(const std::function<void()>& announce);
  // Clients know the sandbox. A pause that ended meanwhile is announced now.
  void MarkAnnounced(const std::function<void()>& announce_end);
  // Waits until no pause runs and its end is announced. False when time is up.
  bool WaitPauseGone(base::Deadline deadline) const;

  cgroup::Meter& meter() { return meter_; }
  // As runtime/stats.h has read them last; none on the host's network.
  std::vector<cni::InterfaceStats> interfaces() const;
  void SetInterfaces(std::vector<cni::InterfaceStats> interfaces);

  // Serializes Stop, Remove and teardown. Taken before any container's.
  absl::Mutex& operation() ABSL_LOCK_RETURNED(operation_) { return operation_; }

 private:
  const base::SandboxId id_;
  store::Recorded<store::SandboxRecord> record_;
  absl::Mutex operation_;
  mutable absl::Mutex mu_;
  std::optional<linux::ProcessRef> pause_ ABSL_GUARDED_BY(mu_);
  bool pause_alive_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<Phase> phases_ ABSL_GUARDED_BY(mu_);
  bool announced_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<cni::InterfaceStats> interfaces_ ABSL_GUARDED_BY(mu_);
  base::Latch pause_gone_;  // launched, dead, and its end is announced
  cgroup::Meter meter_;
};

using SandboxPtr = std::shared_ptr<Sandbox>;

}  // namespace crisp::sandbox
