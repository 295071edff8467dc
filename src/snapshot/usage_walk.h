// Measures a tree whose owner may work against it: the writable layer of a running container. The
// walk is done in slices, and nothing the container does makes it wrong by much or endless:
//  - An inode number counts once, whatever is moved or linked while the walk goes on.
//  - A directory is found again by its file handle, not by its path: it may be moved at any time.
//  - In a tree that rests each name but the hard links counts something. Names that count nothing
//    come from moving things ahead of the walk: once there were too many of them, the rest of a
//    directory that still has some is left out, and the walk goes on with the next.
//  - It takes at most about 20 MB of memory: of more directories than it can keep in mind it reads
//    a random part, so another walk reads others.
//  - It ends when it has counted twice as many inodes as the file system has in use.
//  - Directories are read without a new access time, so the container cannot see where the walk is.
// A container that moves files at random may still hide some of them from a walk. What a tree that
// rests has is counted, but for the directories beyond the memory.
//
// Needs CAP_DAC_READ_SEARCH and a file system with file handles: ext4, xfs, btrfs, tmpfs, zfs, ...
// Sources: open_by_handle_at(2).
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "snapshot/usage.h"

namespace crisp::snapshot {

// One thread. Holds one or two descriptors between slices.
class UsageWalk {
 public:
  // kCut: ended, and something was left out.
  enum class Progress { kMore, kDone, kCut };

  // See above. Tests set others than those that Begin() takes.
  struct Limits {
    uint64_t inodes;                 // that are counted
    uint64_t idle_names;             // that count nothing
    size_t directories = 256 << 10;  // that wait to be read
    size_t groups = 256 << 10;       // of inode numbers that are remembered
  };

  // `root` is the directory to measure, open for reading.
  static absl::StatusOr<std::unique_ptr<UsageWalk>> Begin(
      base::UniqueFd root, std::optional<Limits> limits = std::nullopt);
  // Before the first step: another directory, on the same file system, is measured with it.
  absl::Status Add(int directory) { return AddDirectory(directory, ".").status(); }

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

  UsageWalk(base::UniqueFd root, dev_t device, const Limits& limits)
      : root_(std::move(root)), device_(device), limits_(limits), idle_left_(limits.idle_names) {}
  // These return false for a name that counts nothing, and is not another link of a known file.
  bool Count(const struct stat& info);
  absl::StatusOr<bool> Visit(const char* name);
  absl::StatusOr<bool> AddDirectory(int parent, const char* name);
  // True when that was one too many for this directory.
  bool SpendIdleName();
  void Keep(const Handle& handle);
  absl::Status OpenNext();

  const base::UniqueFd root_;
  const dev_t device_;
  const Limits limits_;
  uint64_t names_ = 0;
  uint64_t links_ahead_ = 0;     // names that inodes counted so far have besides those met
  uint64_t idle_left_;           // for the whole walk
  uint64_t idle_left_here_ = 0;  // for the directory that is read, after that
  bool left_out_ = false;
  Usage counted_;
  std::unique_ptr<DIR, CloseDir> dir_;
  std::deque<Handle> to_read_;  // those met first are read first
  uint64_t met_ = 0;            // directories
  std::minstd_rand random_{std::random_device()()};
  // Bit n of element g: inode 64 * g + n is counted. File systems hand out neighbouring numbers, so
  // this is much smaller than a set of numbers.
  absl::flat_hash_map<uint64_t, uint64_t> seen_;
};

}  // namespace crisp::snapshot
