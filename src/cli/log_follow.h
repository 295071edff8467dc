// Follows the logs of all containers of a pod: run after run, from the first line, also when they
// are rotated. Used by one thread.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cli/log_lines.h"

namespace crisp::cli {

class LogFollower {
 public:
  // `directory` is the pod's log directory; it and what is in it may come later. Makes it, because
  // only what exists can be watched.
  static absl::StatusOr<LogFollower> Open(const std::string& directory,
                                          std::vector<std::string> names, bool has_colors);

  // Readable (poll(2)) when there may be something new.
  int fd() const { return inotify_.get(); }
  // What is new, as it is to be printed; not more at once than fits into memory.
  absl::StatusOr<std::string> Read();
  // Whether the last Read() has left something.
  bool has_more() const { return has_more_; }

 private:
  struct Source {
    std::string name;
    base::UniqueFd file;  // that is being read
    base::UniqueFd next;  // that follows it, once there is one; then `file` grows no more
    int64_t attempt = -1;
    std::string rest;  // of a line that is not complete
  };
  LogFollower(std::string directory, std::vector<std::string> names, bool has_colors);
  // Opens the next file, if there is one: that of the same run after its log was rotated, or of the
  // next run.
  bool OpenNext(Source& source) const;
  absl::Status ReadSource(size_t index, std::string& out);
  absl::Status Watch();

  std::string directory_;
  base::UniqueFd inotify_;
  std::vector<Source> sources_;
  LogFormat format_;
  bool has_more_ = false;
};

}  // namespace crisp::cli
