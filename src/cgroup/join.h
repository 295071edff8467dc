// What a shim needs of its container's cgroup: entering it, seeing out-of-memory kills, killing one
// exec's tree. The daemon owns the group (cgroups.h); a shim never creates or removes a container's
// group and sets no limit.
//
// crisp_cgroup_join: file operations on descriptors opened beforehand, no libcgroup, no /proc.
// Thread-safe: no state. A child enters in two ways at once: clone3(CLONE_INTO_CGROUP, cgroup =
// JoinFds::v2) places it in the cgroup2 group, and its first step JoinSelf() writes "0" to the
// `tasks` file of every v1 hierarchy (none on a v2-only host).
//
// Trap, seen on Linux 6.18: a child cloned into a group is born dying (SIGKILL) unless the group of
// its parent was killed by cgroup.kill as often as the target group was. A shim must therefore live
// in a group that nobody ever kills as a whole, and nothing is started in a container's group after
// its Kill.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cgroup/layout.h"

namespace crisp::cgroup {

struct JoinFds {
  base::UniqueFd v2;  // the group's cgroup2 directory: CLONE_INTO_CGROUP, and base of exec groups
  std::vector<base::UniqueFd> tasks;  // `tasks` of each v1 hierarchy, O_WRONLY
  base::UniqueFd oom;  // memory.oom_control (v1) or memory.events (v2) for OomKills; may be invalid
};

// Opens all of them; NotFound naming the file when the group does not exist. `oom` stays invalid
// without a memory controller. All are O_CLOEXEC and keep working until the group is removed.
absl::StatusOr<JoinFds> OpenJoin(const Directories& directories);

// Moves the calling thread into the v1 groups; for a child that has one thread, right after clone3.
// Writing to `tasks` rather than `cgroup.procs` moves one thread and takes no lock on the thread
// group. Errors name the file: ENOSPC from cpuset means a group without CPUs, EAGAIN/EPERM that
// limits or rights forbid it.
absl::Status JoinSelf(const std::vector<base::UniqueFd>& tasks);

// How many processes of the group the kernel has killed for lack of memory so far (whichever
// group's limit it was). A fresh read through `JoinFds::oom`; read it after the last process was
// reaped, before reporting the exit.
absl::StatusOr<uint64_t> OomKills(int oom_fd);

// An exec's own cgroup2 group `exec-<serial>` below the container's, so that a timed-out probe dies
// with all it started. The exec joins the container's v1 groups as init did. Returns the directory
// for CLONE_INTO_CGROUP.
absl::StatusOr<base::UniqueFd> MakeExecGroup(int container_v2_fd, uint64_t serial);
// SIGKILL to every process in a cgroup2 group and below, atomically (cgroup.kill, Linux 5.14).
// Returns before they are gone: wait with OpenEvents.
absl::Status KillGroup(int v2_fd);
// Removes an exec's group; FailedPrecondition while processes live in it, OK when it is gone
// already.
absl::Status RemoveExecGroup(int container_v2_fd, uint64_t serial);

// cgroup.events of a cgroup2 group. Becomes readable as EPOLLPRI whenever "populated" changes; read
// it with Populated() first, then wait.
absl::StatusOr<base::UniqueFd> OpenEvents(int v2_fd);
// Whether any process lives in the group or below.
absl::StatusOr<bool> Populated(int events_fd);

}  // namespace crisp::cgroup
