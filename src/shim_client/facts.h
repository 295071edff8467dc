// Reads what a shim wrote about its container: <bundle>/init.json and <bundle>/exit.json, see
// ipc/facts.h. Each is renamed into place, so a file that exists is complete. Thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "ipc/facts.h"

namespace crisp::shim_client {

// kNotFound when the container has not started; kInvalidArgument for a damaged file.
absl::StatusOr<ipc::InitRecord> ReadInit(const std::string& bundle);
// kNotFound when the container has not ended, or its shim died before it could write the file.
absl::StatusOr<ipc::ExitRecord> ReadExit(const std::string& bundle);

}  // namespace crisp::shim_client
