// Removes trees in the background. Callers rename what nobody needs into the trash directory, which
// is instant whatever its size; a thread empties the directory, also of what an earlier process
// left. Bounded memory for any depth and width (base::RemoveTree); links are never followed; the
// immutable and append-only flags are cleared where they are in the way. What still cannot be
// removed (a mount somebody made in it) stays for the next start. Thread-safe.
#pragma once

#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace crisp::snapshot {

class Trash {
 public:
  // `directory` exists, on the file system of everything that will be thrown in.
  explicit Trash(std::string directory);
  // Finishes the tree being removed, leaves the others.
  ~Trash();

  // A path of our own, never one chosen by an image. Missing is OK.
  absl::Status Throw(const std::string& path);

 private:
  void Run();
  void EmptyOnce();

  const std::string directory_;
  absl::Mutex mu_;
  bool full_ ABSL_GUARDED_BY(mu_) = true;  // at first: with what an earlier process left
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace crisp::snapshot
