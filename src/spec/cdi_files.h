// The CDI specifications of this node, decoded. The directories are looked at in each call, so that
// devices come and go without a restart. What is read again are files that have changed only: some
// drivers write one for each pod. Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "spec/cdi.h"

namespace crisp::spec {

class CdiFiles {
 public:
  // A device in a later directory hides one in an earlier. A file that was changed less than
  // `settled` ago may change once more without another time of change, as the kernel's clock for
  // that is coarse: it is read each time.
  explicit CdiFiles(std::vector<std::string> directories, absl::Duration settled = absl::Seconds(2))
      : settled_(settled), directories_(std::move(directories)) {}
  CdiFiles(const CdiFiles&) = delete;
  CdiFiles& operator=(const CdiFiles&) = delete;

  // Counts from the next Resolve() on.
  void SetDirectories(std::vector<std::string> directories);

  // The edits for these devices, in their order. kInvalidArgument names a device that no file
  // describes (and the files that could not be read), or that two files of one directory describe;
  // kFailedPrecondition one that needs a feature that crisp does not support.
  absl::StatusOr<CdiEdits> Resolve(const std::vector<std::string>& names);

  // How often a file was read, for tests.
  int reads() const { return reads_; }

 private:
  struct File;
  using FilePtr = std::shared_ptr<const File>;
  class Registry;

  // `known`: what was read of it before, or nullptr.
  absl::StatusOr<FilePtr> Read(const std::string& path, const FilePtr& known);

  const absl::Duration settled_;
  std::atomic<int> reads_ = 0;
  absl::Mutex mu_;  // not held while files are read
  std::vector<std::string> directories_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, FilePtr> files_ ABSL_GUARDED_BY(mu_);  // by path
};

}  // namespace crisp::spec
