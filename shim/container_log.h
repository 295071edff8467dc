// The container's log as CRI wants it: "<RFC 3339 time with nanoseconds> stdout|stderr F|P
// <text>\n". A line longer than kMaxLine is split into pieces tagged P, the last one F; text
// without a newline at the end of output is tagged P. Bytes are copied as they are. No allocation
// after Open.
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

  // Opens or creates the file (0640, appended to, no link followed). False and errno on failure;
  // EINVAL for something that is no regular file. An empty path: no log.
  bool Open(const std::string& path);
  // Opens the path anew. On failure the old file stays in use.
  bool Reopen();

  // Writes what is complete of `data` and returns how many bytes that were; the rest is the
  // beginning of a line and comes again with more behind it. With `at_end` everything is written.
  // At most kMaxLine bytes are left over.
  size_t Write(Stream stream, const char* data, size_t size, bool at_end);

 private:
  class Batch;

  base::UniqueFd OpenFile() const;

  std::string path_;
  base::UniqueFd file_;
};

}  // namespace crisp::shim
