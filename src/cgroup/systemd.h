// Starts and stops transient units of systemd over D-Bus, with libsystemd's sd-bus. Private to
// src/cgroup. Every call opens its own connection: one kept open would have to survive restarts of
// the bus and would receive the signals of every job on the machine.
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

// systemd's version. FailedPrecondition when systemd is not PID 1; Unavailable when it does not
// answer on the system bus.
absl::StatusOr<std::string> SystemdVersion();

struct Scope {
  std::string unit;   // "crisp-<id>.scope"
  std::string slice;  // "a-b.slice"
  // Those of `slice` and its ancestors to start along with the scope. systemd stops them when
  // nothing needs them any more.
  std::vector<std::string> new_slices;
  std::string description;
  pid_t pid = 0;  // the first process; the scope ends with the last
};

// Starts a delegated scope without limits and waits until it runs and its group has every
// controller that systemd knows. AlreadyExists when systemd has the unit or one of `new_slices`
// already; the message says which.
absl::Status StartScope(const Scope& scope, base::Deadline deadline);

// Stops a unit and waits until the unit and its group are gone. OK when the unit does not exist.
absl::Status StopUnit(const std::string& unit, base::Deadline deadline);

}  // namespace crisp::cgroup
