// What a shim does with its container's cgroup: it enters it, counts out-of-memory kills, and kills
// one exec's processes. crispd owns the group (cgroups.h); a shim does not make or remove a
// container's group and does not limit it.
//
// This is the library crisp_cgroup_join. It works on descriptors that were opened beforehand,
// without libcgroup and without /proc. Thread-safe: no state. A child enters in two ways: clone3(2)
// with CLONE_INTO_CGROUP and JoinFds::v2 places it in the cgroup2 group, and its first step
// JoinSelf() writes "0" to the `tasks` file of every v1 hierarchy (there is none on a v2-only
// host).
//
// Observed on Linux 6.18: a child cloned into a group gets SIGKILL at once unless cgroup.kill was
// written to its parent's group as often as to the target group. Therefore a shim must live in a
// group that is never killed as a whole, and nothing may be started in a container's group after
// the group was killed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"
#include "base/unique_fd.h"
#include "cgroup/layout.h"

namespace crisp::cgroup {

struct JoinFds {
  base::UniqueFd v2;  // the group's cgroup2 directory: CLONE_INTO_CGROUP, and base of exec groups
  std::vector<base::UniqueFd> tasks;  // `tasks` of each v1 hierarchy, O_WRONLY
  base::UniqueFd oom;  // memory.oom_control (v1) or memory.events (v2) for OomKills; may be invalid
};

// Opens them all with O_CLOEXEC, `tasks` in the order of the directories. NotFound naming the file
// when the group does not exist. `oom` stays invalid without a memory controller. The descriptors
// work until the group is removed.
absl::StatusOr<JoinFds> OpenJoin(const Directories& directories);

// Moves the calling thread into the v1 groups, in their order (layout.cc says why it matters); for
// a child with a single thread, right after clone3. It writes to `tasks` instead of `cgroup.procs`
// because that takes no lock on the thread group. Errors name the file: ENOSPC from cpuset means a
// group without CPUs, EAGAIN or EPERM that limits or permissions forbid it.
absl::Status JoinSelf(const std::vector<base::UniqueFd>& tasks);

// How many processes of the group the kernel has killed for lack of memory so far, no matter which
// group's limit was reached. `oom_fd` is JoinFds::oom. The count is complete once the last process
// was reaped.
absl::StatusOr<uint64_t> OomKills(int oom_fd);

// The name of an exec's group, of letters: agents that read a container's id from the path of a
// process's group pass over such a part (test/unit/agents).
std::string ExecGroupName(uint64_t serial);
// Makes an exec's own cgroup2 group below the container's, so that all processes of a probe that
// times out can be killed. Returns the directory for CLONE_INTO_CGROUP. On v1 the exec joins the
// container's groups.
absl::StatusOr<base::UniqueFd> MakeExecGroup(int container_v2_fd, uint64_t serial);
// Sends SIGKILL to every process in a cgroup2 group and below, atomically (cgroup.kill, Linux
// 5.14). Returns before they have died: wait for that with OpenEvents.
absl::Status KillGroup(int v2_fd);
// Removes an exec's group and what was made below it. FailedPrecondition while a process lives in
// it, and when the deadline ends that; OK when it does not exist.
absl::Status RemoveExecGroup(int container_v2_fd, uint64_t serial, base::Deadline deadline);
// Removes the group `name` of a directory (AT_FDCWD: a path) and all below it, from the innermost
// outwards, whatever their number, depth and names: a container can make them. DeadlineExceeded
// when some are left: the next call goes on. FailedPrecondition when a process lives in one.
absl::Status RemoveGroupTree(int directory_fd, const std::string& name, base::Deadline deadline);

// A cgroup2 group for one program that crispd runs, at `directory`, so that all it has started can
// be ended, also by the next crispd. Ends and removes first what is there already: a new group, as
// nothing may be started in one that was killed (see above). Returns the directory for
// CLONE_INTO_CGROUP.
absl::StatusOr<base::UniqueFd> MakeProgramGroup(const std::string& directory,
                                                base::Deadline deadline);
// Gives the processes of the group `patience` to end by themselves, kills them, waits for their end
// and removes the group. OK when it does not exist; DeadlineExceeded when a process does not end,
// such as one in uninterruptible sleep.
absl::Status EndProgramGroup(const std::string& directory, base::Deadline deadline,
                             absl::Duration patience = absl::ZeroDuration());

// Opens cgroup.events of a cgroup2 group. It signals EPOLLPRI whenever "populated" changes after
// the last read, so read it with Populated() before waiting.
absl::StatusOr<base::UniqueFd> OpenEvents(int v2_fd);
// Whether any process lives in the group or below.
absl::StatusOr<bool> Populated(int events_fd);

}  // namespace crisp::cgroup
