// The only door to libcgroup 2.0: making groups and writing limits. Private to src/cgroup.
// libcgroup keeps its own table of mounts; errors come back with the errno where it kept one.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace crisp::cgroup {

// One file of one controller and what to write there; several lines are written one by one.
struct Setting {
  std::string controller;
  std::string file;
  std::string value;
};

// Scans the mounts, once per process. Thread-safe, as are the functions below after it.
absl::Status InitLibcgroup();

// Makes `path` in the hierarchies of `controllers`. One controller per hierarchy is enough, and on
// v2 must be all: libcgroup repeats the whole walk for each. Groups that exist are left alone.
absl::Status CreateGroup(const std::string& path, const std::vector<std::string>& controllers);

// Writes one value; "write <file>=<value>: EINVAL" on failure, the code by the errno.
absl::Status WriteSetting(const std::string& path, const Setting& setting);

}  // namespace crisp::cgroup
