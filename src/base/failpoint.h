// Named places in crispd and crisp-shim where a test can make a process stand still, to kill it
// there or to take away its disk or its descriptors (test/fault/kill_points). In what is installed
// the function is empty (failpoint_none.cc); the programs of that test are the same objects, linked
// with failpoint.cc.
//
// Thread-safe. A point allocates nothing, needs neither descriptors nor paths, and keeps errno, so
// that a child may have one between clone3(2) and execve(2).
#pragma once

#include <string>
#include <vector>

namespace crisp::base {

// The name is `name` followed by `rest`, which may be known only when the point is passed:
// Failpoint("child: ", StepName(step)); at most 63 bytes. Returns at once, except at the point that
// a test has asked for in the file that CRISP_FAILPOINT_FILE names (base/failpoint_page.h).
void Failpoint(const char* name, const char* rest = "");

// The environment variables that programs with points of their own need; empty in what is
// installed.
std::vector<std::string> FailpointEnvironment();

}  // namespace crisp::base
