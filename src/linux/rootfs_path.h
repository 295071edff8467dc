// The only way to name something inside a rootfs, a layer or a volume: every component, symbolic
// link and ".." is resolved by the kernel below a root descriptor (openat2(2)), so that no link, no
// race and no "../.." of a hostile tree leads out of it. All descriptors returned are O_CLOEXEC.
// Thread-safe: no shared state. Errors: base::Errno with the path as given; "openat2 <path>:
// ELOOP".
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

// For directories that are ours: no symbolic link anywhere in `path` (ELOOP) and no way up (EXDEV).
absl::StatusOr<base::UniqueFd> OpenBeneath(int root_fd, absl::string_view path, int flags,
                                           mode_t mode = 0);

// mkdir -p as a process chrooted to `root_fd` would do it, except that the target of a dangling
// link is created too (inside the root). Returns an O_PATH descriptor of the directory. Safe
// against others who change the tree meanwhile: each step works on the descriptor of the step
// before. New directories get `mode` less the umask; their paths relative to the root (without
// links) are appended to `created`, if given. ENOTDIR when something else is in the way.
absl::StatusOr<base::UniqueFd> MakeDirsInRoot(int root_fd, absl::string_view path, mode_t mode,
                                              std::vector<std::string>* created = nullptr);

}  // namespace crisp::linux
