// Removes trees in the background. Throw() renames a tree into the trash directory, which takes the
// same time for any size; a thread empties the directory, also of trees from an earlier process.
// Memory is bounded for any depth and width (base::RemoveTree); links are not followed; immutable
// and append-only flags are cleared if necessary. A tree that cannot be removed (because something
// is mounted in it, or for lack of descriptors) is tried again, later and later. Thread-safe.
#pragma once

#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/wait.h"

namespace crisp::snapshot {

class Trash {
 public:
  // `directory` is on the same file system as the trees that Throw() gets.
  explicit Trash(std::string directory) : directory_(std::move(directory)) {}
  // Finishes the tree that is being removed; the others stay until the next start.
  ~Trash();

  // Starts the thread, once. What was thrown away before is removed then. `before` is called before
  // each look at the directory; false: the thread is to look again.
  absl::Status Start(std::function<bool()> before = [] { return true; });

  // `path` must not come from an image, as its links would be followed. A missing path is OK.
  absl::Status Throw(const std::string& path);
  // The thread is to look.
  void Wake();

 private:
  void Run();
  // Until something was thrown away, or `again` has passed. False: the thread is to end.
  bool AwaitWork(base::Deadline again);
  // Whether nothing stays.
  bool EmptyOnce();

  const std::string directory_;
  absl::Mutex mu_;
  base::CondVar changed_;
  std::function<bool()> before_;
  bool full_ ABSL_GUARDED_BY(mu_) = true;  // at start: with trees of an earlier process
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  base::Thread thread_;
};

}  // namespace crisp::snapshot
