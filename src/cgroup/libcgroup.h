// Makes groups and writes limits with libcgroup 2.0; only this file's implementation includes it.
// Private to src/cgroup. libcgroup has its own table of mounts. Errors have the errno where
// libcgroup keeps it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace crisp::cgroup {

// A file of a controller and what to write there. libcgroup writes each line with its own write(2).
struct Setting {
  std::string controller;
  std::string file;
  std::string value;
};

// Makes libcgroup scan the mounts, once per process; to be called before the functions below. All
// are thread-safe.
absl::Status InitLibcgroup();

// Makes `path` in the hierarchies of `controllers`, which should have one controller per hierarchy:
// libcgroup repeats the whole walk for each of them. Groups that exist are left as they are.
absl::Status CreateGroup(const std::string& path, const std::vector<std::string>& controllers);

// Writes one value. Error: "write <file>=<value>: EINVAL", with the code of the errno.
absl::Status WriteSetting(const std::string& path, const Setting& setting);

}  // namespace crisp::cgroup
