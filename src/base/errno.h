// Turns kernel errors into absl::Status; nothing else in this tree does. Thread-safe. Messages are
// lower case without a period, outermost operation first, and end in the system's words, which
// people search and alert for: "start container 4f..: mount /data: no such file or directory
// (ENOENT)".
#pragma once

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace crisp::base {

// "no such file or directory (ENOENT)", or "errno 4711" for a value that libc has no name for.
std::string ErrnoText(int error);

// "<operation> <subject>: <ErrnoText>" with the absl code that fits the errno
// (absl::ErrnoToStatusCode). `subject` may be empty. Without `error` it reads errno, so call it
// before anything else can change errno.
absl::Status Errno(absl::string_view operation, absl::string_view subject, int error = errno);

// Puts "<prefix>: " before the message of an error, keeping its code; passes OK through.
absl::Status Prefix(const absl::Status& status, absl::string_view prefix);

}  // namespace crisp::base
