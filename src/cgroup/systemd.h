// The only door to systemd: transient units over D-Bus by libsystemd's sd-bus. Private to
// src/cgroup. Every call has a connection of its own: a kept one would have to survive restarts of
// the bus, and would be sent the job signals of the whole machine all day.
//
// Sources: org.freedesktop.systemd1(5), systemd.scope(5), docs/CGROUP_DELEGATION.md of systemd.
// Thread-safe: no state.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/deadline.h"

namespace crisp::cgroup {

// systemd's version. FailedPrecondition when it is not PID 1 here; Unavailable when it cannot be
// reached over the system bus.
absl::StatusOr<std::string> SystemdVersion();

struct Scope {
  std::string unit;   // "crisp-<id>.scope"
  std::string slice;  // "a-b.slice"
  // Of the slice and its ancestors, those that are to be made along with the scope, and stopped by
  // systemd when nothing needs them any more.
  std::vector<std::string> new_slices;
  std::string description;
  pid_t pid = 0;  // the first process; the scope ends with the last
};

// Starts a delegated scope and waits until it is there: its group has every controller systemd
// knows, and no limit of its own. AlreadyExists when the unit, or one of `new_slices`, is known
// already; the message says which.
absl::Status StartScope(const Scope& scope, base::Deadline deadline);

// Stops a unit and waits until it is gone, its group too. OK when there is none.
absl::Status StopUnit(const std::string& unit, base::Deadline deadline);

}  // namespace crisp::cgroup
