// A pod sandbox: its record, its pause process, its state.
//
//            RunPodSandbox acknowledged         StopPodSandbox, or pause died
//   (hidden) ---------------------------> READY -----------------------> NOTREADY --> (removed)
//
// The state is derived: READY iff the record says ready and not stopped, and the pause process is
// known and lives.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "cgroup/usage_rate.h"
#include "store/record.h"
#include "store/recorded.h"

namespace crisp::sandbox {

// One named part of RunPodSandbox and how long it took.
struct Phase {
  std::string name;
  int64_t duration_ns = 0;
};

struct Pause {
  int32_t pid = 0;
  uint64_t start_ticks = 0;  // /proc/<pid>/stat field 22; with the pid, names the process for ever
  std::vector<Phase> phases;
};

// Thread-safe. Shared: the index and running operations hold it.
class Sandbox {
 public:
  Sandbox(store::SandboxRecord record, const store::RecordDirectory* directory)
      : id_(record.id), record_(std::move(record), directory) {}

  const std::string& id() const { return id_; }
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
  // Strikes a debt off the record; the failure of the write only means that it will be paid again.
  void Paid(store::Debt debt);

  bool ready() const;
  // Acknowledged once, so clients may know of it: hidden sandboxes are not listed.
  bool visible() const;
  std::optional<Pause> pause() const;
  // A shim that will tell the end of its pause is watched.
  void MarkLaunched();
  // What is known of the pause. False when it has ended already.
  bool SetPause(Pause pause);
  // The pause process is dead and reaped. `announce` is called when readers see the new state and
  // before WaitPauseGone returns, unless clients do not know the sandbox yet.
  void PauseGone(const std::function<void()>& announce);
  // Clients know the sandbox. A pause that ended meanwhile is announced now.
  void MarkAnnounced(const std::function<void()>& announce_end);
  // Waits for PauseGone. False when time is up.
  bool WaitPauseGone(absl::Duration timeout) const;

  cgroup::UsageRate& cpu_rate() { return cpu_rate_; }

  // Serializes Stop, Remove and teardown. Taken before any container's.
  absl::Mutex& operation() ABSL_LOCK_RETURNED(operation_) { return operation_; }

 private:
  const std::string id_;
  store::Recorded<store::SandboxRecord> record_;
  absl::Mutex operation_;
  mutable absl::Mutex mu_;
  std::optional<Pause> pause_ ABSL_GUARDED_BY(mu_);
  bool pause_alive_ ABSL_GUARDED_BY(mu_) = false;
  bool announced_ ABSL_GUARDED_BY(mu_) = false;
  bool settled_ ABSL_GUARDED_BY(mu_) = true;  // no pause, and its end is announced
  cgroup::UsageRate cpu_rate_;
};

}  // namespace crisp::sandbox
