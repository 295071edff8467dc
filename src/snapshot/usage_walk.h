// Measures a tree whose owner may work against it: the writable layer of a running container. The
// walk is done in slices, and nothing the container does makes it wrong by much or endless:
//  - An inode number counts once, whatever is moved or linked while the walk goes on.
//  - A directory is found again by its file handle, not by its path: it may be moved at any time.
//  - The walk is cut when it has met twice as many names as the file system has inodes in use, and
//    before it takes more than about 20 MB of memory. What it has counted by then is there.
//  - Directories are read without a new access time, so the container cannot see where the walk is.
// A container that moves files at random may still hide some of them from a walk.
//
// Needs CAP_DAC_READ_SEARCH and a file system with file handles: ext4, xfs, btrfs, tmpfs, zfs, ...
// Sources: open_by_handle_at(2).
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "snapshot/usage.h"

namespace crisp::snapshot {

// One thread. Holds one or two descriptors between slices.
class UsageWalk {
 public:
  enum class Progress { kMore, kDone, kCut };

  // `root` is the directory to measure, open for reading. `max_names`: see above; tests set it.
  static absl::StatusOr<std::unique_ptr<UsageWalk>> Begin(
      base::UniqueFd root, std::optional<uint64_t> max_names = std::nullopt);

  // Goes on until the tree is measured or `stop()`, which is asked every few entries, is true.
  // After an error the walk is over.
  absl::StatusOr<Progress> Step(absl::FunctionRef<bool()> stop);

  // Counted so far.
  const Usage& counted() const { return counted_; }

 private:
  // A directory that is still to be read.
  struct Handle {
    int type = 0;
    uint32_t size = 0;
    std::array<unsigned char, 24> bytes = {};  // btrfs needs 20
  };
  struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
  };

  UsageWalk(base::UniqueFd root, dev_t device, uint64_t max_names)
      : root_(std::move(root)), device_(device), max_names_(max_names) {}
  // False when the inode was counted before.
  bool Count(const struct stat& info);
  absl::Status Visit(const char* name);
  absl::Status AddDirectory(int parent, const char* name);
  absl::Status OpenNext();
  bool TooMuch() const;

  const base::UniqueFd root_;
  const dev_t device_;
  const uint64_t max_names_;
  uint64_t names_ = 0;
  Usage counted_;
  std::unique_ptr<DIR, CloseDir> dir_;
  std::vector<Handle> to_read_;
  // Bit n of element g: inode 64 * g + n is counted. File systems hand out neighbouring numbers, so
  // this is much smaller than a set of numbers.
  absl::flat_hash_map<uint64_t, uint64_t> seen_;
};

}  // namespace crisp::snapshot
