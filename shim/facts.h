// Writes the shim's two files of facts (ipc/facts.h) into the bundle: each is written under another
// name and renamed, so it appears complete. The shim is their only writer.
#pragma once

#include "absl/status/status.h"
#include "ipc/facts.h"

namespace crisp::shim {

absl::Status WriteInit(int bundle_fd, const ipc::InitRecord& record);
absl::Status WriteExit(int bundle_fd, const ipc::ExitRecord& record);

}  // namespace crisp::shim
