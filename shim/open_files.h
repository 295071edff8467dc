// The shim's own limit of open files. The soft limit that crispd was started with is often 1,024,
// which the execs of a busy container would use up; its containers get that limit all the same.
// One thread.
#pragma once

#include <sys/resource.h>

#include <cstddef>

namespace crisp::shim {

// Raises the soft limit, within the hard one. Called once, when crispd asks for a start: by then it
// has given the shim the limit that it was started with itself (shim_client/launcher.h).
void RaiseOpenFiles();
// The limit as it was before RaiseOpenFiles().
const rlimit& GivenOpenFiles();
// How many execs have descriptors for sure, besides what the shim needs itself.
size_t RoomForExecs();

}  // namespace crisp::shim
