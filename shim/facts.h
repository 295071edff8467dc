// Writes the shim's two files of facts (ipc/facts.h) into the bundle: each is written under another
// name and renamed, so it appears complete. The shim is their only writer.
#pragma once

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "ipc/facts.h"

namespace crisp::shim {

absl::Status WriteInit(int bundle_fd, const ipc::InitRecord& record);

// The exit record, whose file and space exist before the container starts: a file system that is
// full by then cannot lose the exit code. A file that was only reserved keeps its other name, so
// crispd never takes it for a record; it goes with the bundle.
class ExitFile {
 public:
  // Before the start. `bundle_fd` is borrowed by both calls.
  absl::Status Reserve(int bundle_fd);
  // Once, after Reserve(). Needs neither a block, an inode nor a descriptor.
  absl::Status Write(int bundle_fd, const ipc::ExitRecord& record) const;

 private:
  base::UniqueFd fd_;
};

}  // namespace crisp::shim
