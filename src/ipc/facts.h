// The two files in a bundle in which a shim records what happened to its container, also for a
// crispd that was not running then: init.json once the program runs, exit.json once it has ended.
// One schema and one codec for the shim, which writes them, and crispd, which reads them.
//
// Members are only ever added, and a reader ignores those it does not know: the files of a running
// shim are older or newer than the crispd that reads them. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "shim/v1/shim.pb.h"

namespace crisp::ipc {

// The same facts as the answer to Start.
using InitRecord = ::shim::v1::Started;

struct ExitRecord {
  int32_t exit_code = 0;  // 128 + n when signal n ended the program
  bool oom_killed = false;
  int64_t finished_at_ns = 0;  // wall clock, since 1970
};

std::string EncodeInit(const InitRecord& record);
std::string EncodeExit(const ExitRecord& record);

// kInvalidArgument "init.json: ..." for a damaged file.
absl::StatusOr<InitRecord> DecodeInit(absl::string_view text);
absl::StatusOr<ExitRecord> DecodeExit(absl::string_view text);

}  // namespace crisp::ipc
