// Whole-file reads and writes on paths that are ours (state directories, /proc, /sys), never on
// paths inside a rootfs: those go through linux::OpenInRoot. All descriptors are O_CLOEXEC.
// Thread-safe: no shared state.
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
// One open(O_WRONLY|O_TRUNC) + write to an existing file, as /proc and cgroup files want it.
absl::Status WriteExisting(const std::string& path, absl::string_view data);

// Whether a file written this way must survive a power cut, or only the death of its writer.
enum class Durability { kProcess, kPower };
// kInvalidArgument for text that ReadFile would not read back.
absl::Status CheckFileSize(absl::string_view text);

// Writes <path>.tmp-<random>, then renames it over `path`: readers see the old or the new file,
// never a part. kPower also syncs the file before and its directory after the rename. Nothing is
// left behind on failure.
absl::Status WriteFileAtomic(const std::string& path, absl::string_view data, mode_t mode,
                             Durability durability = Durability::kProcess);

// mkdir -p; directories that exist are left as they are.
absl::Status MakeDirs(const std::string& path, mode_t mode);
// Names in a directory, without "." and "..", sorted.
absl::StatusOr<std::vector<std::string>> ListDir(const std::string& path);
// Removes a tree that is ours without following links, iteratively (depth costs no stack); a
// missing path is OK.
absl::Status RemoveTree(const std::string& path);

std::string JoinPath(absl::string_view a, absl::string_view b);
template <typename... Rest>
std::string JoinPath(absl::string_view a, absl::string_view b, Rest... rest) {
  return JoinPath(JoinPath(a, b), rest...);
}

}  // namespace crisp::base
