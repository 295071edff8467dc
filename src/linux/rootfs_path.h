// Opens paths inside a root file system, a layer or a volume; nothing else in this tree may. The
// kernel resolves every component, symbolic link and ".." below a root descriptor (openat2(2)), so
// that a hostile tree cannot lead out of it by a link, by "../.." or by a race. All returned
// descriptors are O_CLOEXEC. Thread-safe: no shared state. Errors: base::Errno with the path as
// given, such as "openat2 <path>: ELOOP".
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace crisp::linux {

// Opens `path` as a process chrooted to `root_fd` would see it: an absolute path, absolute links
// and ".." stay inside. /proc-style magic links are refused (ELOOP). The last component is followed
// unless flags have O_NOFOLLOW.
absl::StatusOr<base::UniqueFd> OpenInRoot(int root_fd, absl::string_view path, int flags,
                                          mode_t mode = 0);

// For directories that only crisp writes: a symbolic link anywhere in `path` is ELOOP, and a ".."
// that leads out of the root is EXDEV.
absl::StatusOr<base::UniqueFd> OpenBeneath(int root_fd, absl::string_view path, int flags,
                                           mode_t mode = 0);

// mkdir -p as a process chrooted to `root_fd` would do it, except that the target of a dangling
// link is created too (inside the root). Returns an O_PATH descriptor of the directory. Safe
// while containers change the tree: each step works on the descriptor of the step before. New
// directories get `mode` less the umask; their paths relative to the root (without links) are
// appended to `created`, if given. ENOTDIR when something else is in the way.
absl::StatusOr<base::UniqueFd> MakeDirsInRoot(int root_fd, absl::string_view path, mode_t mode,
                                              std::vector<std::string>* created = nullptr);

// Where MakeDirsInRoot would make `path`, without making it: absolute, without links, "." and "..".
// What does not exist is taken as it is written. For trees that nobody changes meanwhile. ENOTDIR
// when something else is in the way.
absl::StatusOr<std::string> ResolveInRoot(int root_fd, absl::string_view path);

}  // namespace crisp::linux
