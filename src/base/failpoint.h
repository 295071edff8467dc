// Named places in crispd and crisp-shim where a test can make a process stand still, to kill it
// there or to take away its disk or its descriptors (test/fault/kill_points). Only in builds with
// CMake's CRISP_FAILPOINTS; in all others nothing of it is compiled.
//
// Thread-safe. A point allocates nothing, needs neither descriptors nor paths, and keeps errno, so
// that a child may have one between clone3(2) and execve(2).
#pragma once

// CRISP_FAILPOINT("run sandbox: netns pinned"), or with a name in two parts, the second of which is
// known only when it is passed: CRISP_FAILPOINT("child: ", StepName(step)).
#ifdef CRISP_FAILPOINTS
#define CRISP_FAILPOINT(...) ::crisp::base::PassFailpoint(__VA_ARGS__)
#else
#define CRISP_FAILPOINT(...) static_cast<void>(0)
#endif

namespace crisp::base {

#ifdef CRISP_FAILPOINTS
// The name is `name` followed by `rest`, at most 63 bytes. Returns at once, except at the point
// that a test has asked for in the file that CRISP_FAILPOINT_FILE names (base/failpoint_page.h).
void PassFailpoint(const char* name, const char* rest = "");
#endif

}  // namespace crisp::base
