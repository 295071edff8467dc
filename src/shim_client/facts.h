// What a shim wrote about its container: <bundle>/init.json at the start, <bundle>/exit.json at the
// end. Each is written once and renamed into place, so a file that exists is complete.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "shim/v1/shim.pb.h"

namespace crisp::shim_client {

struct ExitFact {
  int32_t exit_code = 0;  // 128 + n for signal n
  bool oom_killed = false;
  int64_t finished_at_ns = 0;
};

// kNotFound when the container never started; kInvalidArgument for a damaged file.
absl::StatusOr<shim::v1::Started> ReadInit(const std::string& bundle);
// kNotFound when the container has not ended, or its shim died without saying how.
absl::StatusOr<ExitFact> ReadExit(const std::string& bundle);

}  // namespace crisp::shim_client
