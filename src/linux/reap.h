// The end of this process's children. A child in uninterruptible sleep (a disk or a network file
// system that does not answer) outlives SIGKILL, and waiting for it would hold up the caller for as
// long. Thread-safe.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <optional>

#include "base/deadline.h"

namespace crisp::linux {

// What a child that was sent SIGKILL gets before its end is not waited for any more.
inline constexpr absl::Duration kEndTime = absl::Seconds(5);

// Waits for the end of a child and reaps it. Empty when it has not ended by `deadline`; a later
// call, for any child, reaps it then. To be called once for each child; si_pid is 0 for what is not
// one. A `pidfd` of -1 is not waited for.
std::optional<siginfo_t> Reap(pid_t pid, int pidfd, base::Deadline deadline);

// SIGKILL and Reap(), for at most kEndTime.
void EndChild(pid_t pid, int pidfd);

// Whether the process of a pidfd, which need not be a child, has ended by `deadline`. Does not
// reap it.
bool AwaitEnd(int pidfd, base::Deadline deadline);

}  // namespace crisp::linux
