// Reads and writes whole files in places that only crisp and the kernel write to: the state
// directories, /proc, /sys. Paths inside a container's root file system go through
// linux::OpenInRoot instead. All descriptors are O_CLOEXEC. Thread-safe: no shared state.
// Errors are base::Errno with operation and path.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace crisp::base {

inline constexpr size_t kMaxFileBytes = 16 << 20;

// Opens with O_CLOEXEC added; "open <path>: ENOENT" on failure.
absl::StatusOr<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0);
absl::StatusOr<UniqueFd> OpenAt(int dir_fd, const std::string& path, int flags, mode_t mode = 0);

// Reads from the current offset to the end; kOutOfRange when there is more than `max_bytes`.
absl::StatusOr<std::string> ReadAll(int fd, size_t max_bytes = kMaxFileBytes);
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = kMaxFileBytes);

// Writes everything, restarting after EINTR and short writes.
absl::Status WriteAll(int fd, absl::string_view data);
// One open(O_WRONLY|O_TRUNC) and one write(2) to an existing file, as /proc and cgroup files need.
absl::Status WriteExisting(const std::string& path, absl::string_view data);

// kInvalidArgument for text that is too large for ReadFile to read back.
absl::Status CheckFileSize(absl::string_view text);

// Whether a written file must survive a power cut, or only the death of its writer.
enum class Durability { kProcess, kPower };

// Writes <path>.tmp-<random>, then renames it over `path`: readers see the old or the new file,
// never a part. kPower also syncs the file before and its directory after the rename. Nothing is
// left behind on failure.
absl::Status WriteFileAtomic(const std::string& path, absl::string_view data, mode_t mode,
                             Durability durability = Durability::kProcess);

// mkdir -p; directories that exist are left as they are.
absl::Status MakeDirs(const std::string& path, mode_t mode);
// What was renamed in or out of the directory is there after a power cut.
absl::Status SyncDirectory(const std::string& path);
// Names in a directory, without "." and "..", sorted.
absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path);
// Removes a tree without following symbolic links. It does not recurse, so that a tree of any depth
// can be removed. A removal that was cut short at any moment can be finished by another call. OK
// when the path does not exist.
absl::Status RemoveTree(const std::string& path);

std::string JoinPath(absl::string_view a, absl::string_view b);
template <typename... Rest>
std::string JoinPath(absl::string_view a, absl::string_view b, Rest... rest) {
  return JoinPath(JoinPath(a, b), rest...);
}

}  // namespace crisp::base
