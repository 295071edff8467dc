// Reads a container's cgroup from the kernel, for comparison with crispd's answers.
#pragma once

#include <string>

#include "integration/pod.h"

namespace crisp::test {

// Whether this host has the controllers on cgroup v1.
bool OnV1();
// The path of a file of the container's group: `v1_name` in the hierarchy of `controller`, or
// `v2_name`.
std::string CgroupPath(Pod& pod, const std::string& container, const std::string& controller,
                       const std::string& v1_name, const std::string& v2_name);
// Its text without the newline at the end.
std::string CgroupFile(Pod& pod, const std::string& container, const std::string& controller,
                       const std::string& v1_name, const std::string& v2_name);

}  // namespace crisp::test
