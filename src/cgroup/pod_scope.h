// The systemd driver: one delegated scope per pod. The groups of pause and of the containers are
// made in the same way as with the cgroupfs driver.
//
//   <slice of the pod>/crisp-pod-<...>.scope        systemd's: transient, Delegate=yes, no limit
//     holder/                                       one idle process
//     <sandbox id>/                                 pause
//   <slice of the pod>/cri-containerd-<id>.scope    crispd's: limits, stats, kill
//
// systemd writes neither below a delegated group nor to one that it has not made, so a
// daemon-reload undoes no limit. While a delegated scope lives, systemd keeps all controllers
// enabled in its slice, also for the containers' groups beside it. A scope needs a process from its
// start and ends with its last one: the holder lets crispd make it before pause, and keeps it when
// pause has ended. Private to src/cgroup.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/deadline.h"
#include "cgroup/layout.h"
#include "cgroup/systemd.h"
#include "linux/spawn.h"

namespace crisp::cgroup {

// Takes paths of group_path.h. Thread-safe.
class PodScopes {
 public:
  // `layout` must outlive this object. `holder_program` must idle until SIGTERM.
  PodScopes(const Layout& layout, std::string holder_program)
      : layout_(layout), holder_program_(std::move(holder_program)) {}

  // Starts the scope and slices that are missing; systemd stops those again with the last scope in
  // them. On failure nothing is left behind. AlreadyExists when the scope exists.
  absl::Status Create(const std::string& path, base::Deadline deadline);
  // Kills what is left in the scope and stops it. OK when it does not exist; may be repeated.
  absl::Status Remove(const std::string& path, base::Deadline deadline);

 private:
  absl::Status StartHolder(const std::string& path, base::Deadline deadline);
  // `chain`: the slices the scope is in, outermost first.
  absl::Status StartIn(const std::vector<std::string>& chain, Scope& scope,
                       base::Deadline deadline);
  void ReapHolder(const std::string& path);

  const Layout& layout_;
  const std::string holder_program_;
  absl::Mutex mutex_;
  // Holders that this process started. The kernel has given those of an earlier crispd to init.
  std::map<std::string, linux::Child> holders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace crisp::cgroup
