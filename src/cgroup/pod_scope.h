// The systemd driver's part: one delegated scope per pod, and in it the groups that the cgroupfs
// driver would make, in the same way.
//
//   <slice of the pod>/crisp-<sandbox id>.scope     systemd's: transient, Delegate=yes, no limit
//     holder/                                       one idle process
//     <sandbox id>/, <container id>/ ...            crispd's: limits, stats, kill
//
// systemd never writes below a delegated group, so no daemon-reload undoes a limit, and one request
// per pod keeps the bus quiet. A scope lives as long as its processes; the holder ties it to the
// pod instead, so that it can be made before pause and is not swept away, counters and all, by the
// exit of the last container. Private to src/cgroup.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/deadline.h"
#include "cgroup/layout.h"
#include "cgroup/systemd.h"
#include "linux/spawn.h"

namespace crisp::cgroup {

// "/a.slice/a-b.slice/crisp-<id>.scope" for a valid slice.
std::string PodScopePath(absl::string_view slice, absl::string_view sandbox_id);
// Whether `path` is what PodScopePath made for this sandbox.
bool IsPodScope(absl::string_view path, absl::string_view sandbox_id);

// Thread-safe.
class PodScopes {
 public:
  // `holder_program`: does nothing until SIGTERM.
  PodScopes(const Layout& layout, std::string holder_program)
      : layout_(layout), holder_program_(std::move(holder_program)) {}

  // Makes the scope, and slices that are missing: those systemd stops again with the last scope in
  // them. On failure nothing is left behind. AlreadyExists when it is there.
  absl::Status Create(const std::string& path, base::Deadline deadline);
  // Kills what is left in the scope and removes it. OK when it does not exist; may be repeated.
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
  // Children of this process; those of an earlier crispd are init's.
  std::map<std::string, linux::Child> holders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace crisp::cgroup
