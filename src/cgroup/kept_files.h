// Files of one group that are read again and again and stay open meanwhile: to open one takes
// several times as long as to read it. Once half of the descriptors the process may have are in
// use, more are not kept but opened for each reading. Thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"

namespace crisp::cgroup {

class KeptFiles {
 public:
  KeptFiles() = default;
  ~KeptFiles() { Close(); }
  KeptFiles(const KeptFiles&) = delete;
  KeptFiles& operator=(const KeptFiles&) = delete;

  // Fills `buffer` from the beginning of the file and returns what was read; empty when the file
  // cannot be read.
  absl::string_view Read(absl::string_view path, absl::Span<char> buffer);
  // To be called when the group is not going to be read for long.
  void Close();

 private:
  absl::Mutex mu_;
  std::vector<std::pair<std::string, base::UniqueFd>> files_ ABSL_GUARDED_BY(mu_);  // by path
};

// The same for a file that is read once.
absl::string_view ReadOnce(absl::string_view path, absl::Span<char> buffer);

}  // namespace crisp::cgroup
