// Cleaning of paths as text, without looking at the file system: the one rule for paths of a pod's
// configuration and of a runtime spec. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::base {

// The names in `path` (views into it), without empty ones and ".". kInvalidArgument with a reason
// that fits behind the path in a message ("must not contain \"..\""): for "..", for a NUL, and for
// more bytes than the kernel takes (PATH_MAX, path_resolution(7)).
absl::StatusOr<std::vector<absl::string_view>> SplitPath(absl::string_view path);

// "/a//b/./c/" -> "/a/b/c", "a//b" -> "a/b", "" -> "". Errors as above.
absl::StatusOr<std::string> CleanPath(absl::string_view path);

// The same for an absolute path, with ".." taken back as text and staying at "/": "/app/../data" ->
// "/data". For a path that is resolved inside a root afterwards.
absl::StatusOr<std::string> CleanRootedPath(absl::string_view path);

}  // namespace crisp::base
