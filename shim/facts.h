// The two files a shim leaves in the bundle: init.json when the program runs, exit.json when it has
// ended. Each appears complete (written aside, renamed); the shim is their only writer.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/status/status.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim {

struct ExitRecord {
  int exit_code = 0;  // 128 + signal when a signal ended it
  bool oom_killed = false;
  int64_t finished_at_ns = 0;
};

absl::Status WriteInit(int bundle_fd, const ::shim::v1::Started& started);
absl::Status WriteExit(int bundle_fd, const ExitRecord& record);

}  // namespace crisp::shim
