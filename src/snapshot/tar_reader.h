// The entries of a tar stream: V7, ustar, pax, star and GNU tar, sparse files included.
//
// The same bytes must be the same files for every runtime, so a stream is read as Go's archive/tar
// reads it, which Docker, containerd and CRI-O use (test/fuzz/tar_reader_fuzz.cc compares). What
// archive/tar does not take is an error here too. Where they differ on purpose:
//   - types that archive/tar leaves to its caller: g (a header for all that follow) and V (a
//     volume's label) are skipped; all others that POSIX and GNU tar do not have for files are
//     refused, as by containerd and Docker;
//   - the size of what has no contents is 0, a mode has only its permission bits, and the targets
//     of what is not a link are left out;
//   - a time that is 2^62 seconds or more from 1970 may be another one, as far away;
//   - that a map of a sparse file does not fit its contents is seen before they are read.
// Names are bytes: those that are not UTF-8 are returned unchanged. A pax header, a long name or a
// map of a sparse file is at most 1 MiB (kResourceExhausted). One thread. kInvalidArgument for a
// stream that is not a tar or is truncated.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "snapshot/tar_extensions.h"
#include "snapshot/tar_header.h"

namespace crisp::snapshot {

struct TarEntry {
  enum class Type { kFile, kDirectory, kSymlink, kHardLink, kFifo, kCharDevice, kBlockDevice };
  struct Xattr {
    std::string name;
    std::string value;
  };
  Type type = Type::kFile;
  std::string name;
  std::string link;  // target of a symbolic or hard link
  mode_t mode = 0;   // permission bits, set-id and sticky bits
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t size = 0;  // of a file, with its holes
  timespec mtime = {};
  int64_t major = 0;
  int64_t minor = 0;
  std::vector<Xattr> xattrs;
};

class TarReader {
 public:
  // The next bytes of the stream, valid until the next call; none at its end.
  using Source = std::function<absl::StatusOr<absl::Span<const char>>()>;

  explicit TarReader(Source source) : source_(std::move(source)) {}

  // Skips the rest of the previous entry; false at the end of the archive.
  absl::StatusOr<bool> Next(TarEntry& entry);
  // The next piece of the entry's contents and its offset in the file (offsets ascend, gaps are
  // holes); an empty span at the end. Valid until the next call.
  absl::StatusOr<absl::Span<const char>> NextBlock(int64_t& offset);

 private:
  // What headers of their own say about the entry that follows them.
  struct Pending {
    PaxRecords pax;
    std::string name;
    std::string link;
  };

  absl::StatusOr<bool> NextHeader(TarBlock& block, TarHeader& header);
  // Whether `header` is one of those; if so, it is read.
  absl::StatusOr<bool> ReadPending(const TarHeader& header, Pending& pending);
  absl::Status Complete(const TarBlock& block, const Pending& pending, TarHeader& header);
  absl::Status StartContents(const TarHeader& header);
  absl::Status StartSparse(const TarBlock& block, const PaxRecords& pax, TarHeader& header);
  absl::StatusOr<std::vector<SparseRegion>> ReadGnuMap(const TarBlock& block, TarHeader& header);
  absl::StatusOr<std::vector<SparseRegion>> ReadMapInContents();

  // At most `most` bytes of the stream; none at its end.
  absl::StatusOr<absl::Span<const char>> Take(int64_t most);
  // Returns how many bytes there were.
  absl::StatusOr<size_t> Read(absl::Span<char> to);
  absl::Status ReadAll(absl::Span<char> to);

  const Source source_;
  absl::Span<const char> chunk_;  // what is left of it
  int64_t remaining_ = 0;         // stored bytes of the entry that are not read yet
  int64_t padding_ = 0;           // behind them
  std::vector<SparseRegion> regions_;
  size_t region_ = 0;
  int64_t in_region_ = 0;
};

}  // namespace crisp::snapshot
