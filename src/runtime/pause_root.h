// The root file system of every pause: the program, and directories for its two mounts. It is not
// below `state`, which on most machines is a tmpfs that forbids executing. Thread-safe.
#pragma once

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace crisp::runtime {

class PauseRoot {
 public:
  // `program`: the pause that belongs to this crispd. Nothing is written yet.
  PauseRoot(std::string directory, std::string program)
      : directory_(std::move(directory)), program_(std::move(program)) {}

  // The directory, once it holds what this crispd's pods need. Only what is missing or differs is
  // written: crispd starts on a full disk, and after an error every further call tries again.
  absl::StatusOr<std::string> Get();

 private:
  absl::Status Install() const;

  const std::string directory_;
  const std::string program_;
  absl::Mutex mu_;
  bool installed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace crisp::runtime
