// The container's log in the CRI format, which kubelet reads: "<RFC 3339 time with nanoseconds>
// stdout|stderr F|P <text>\n". A line longer than kMaxLine is split into pieces tagged P, the last
// one tagged F; text without a newline at the end of the output is tagged P. Bytes are copied as
// they are. No allocation after Open.
//
// Writing never fails and never blocks the container: lines that find no room (ENOSPC, EIO, a
// quota) are dropped, and what was written of them is cut off again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/unique_fd.h"

namespace crisp::shim {

enum class Stream : uint8_t { kStdout, kStderr };

class ContainerLog {
 public:
  static constexpr size_t kMaxLine = 16 << 10;

  // Opens or creates the file (mode 0640, appended to, a symbolic link is refused). False and errno
  // on failure; EINVAL when the path is not a regular file. An empty path means no log.
  bool Open(const std::string& path);
  // Opens the path again, after kubelet has rotated the file. On failure the old file stays in use.
  bool Reopen();

  // Writes the complete lines of `data` and returns how many bytes those are. The rest, at most
  // kMaxLine bytes, is the beginning of a line: the caller passes it again with more data behind
  // it. With `at_end` everything is written.
  size_t Write(Stream stream, const char* data, size_t size, bool at_end);

 private:
  class Batch;

  base::UniqueFd OpenFile() const;

  std::string path_;
  base::UniqueFd file_;
};

}  // namespace crisp::shim
