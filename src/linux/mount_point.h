// Mount points as the kernel writes them in /proc/<pid>/mountinfo. Source: proc_pid_mountinfo(5).
// Pure, thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace crisp::linux {

// The path that `text` stands for: the kernel writes space, tab, line break and backslash in octal,
// "\040".
std::string DecodeMountPoint(absl::string_view text);

}  // namespace crisp::linux
