// The entries of a tar stream, read from a ChunkReader by libarchive (ustar, pax, GNU, old tar).
// Names are bytes: pax names that are not UTF-8 are returned unchanged. A header with its
// extensions (sparse maps, long names, extended attributes) is limited to 1 MiB of the stream. One
// thread. kInvalidArgument for a stream that is not a tar or is truncated.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "snapshot/chunk_channel.h"

struct archive;
struct archive_entry;

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
  int64_t size = 0;
  timespec mtime = {};
  uint64_t major = 0;
  uint64_t minor = 0;
  std::vector<Xattr> xattrs;
};

class TarReader {
 public:
  explicit TarReader(ChunkReader& chunks);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // Skips the rest of the previous entry; false at the end of the archive.
  absl::StatusOr<bool> Next(TarEntry& entry);
  // The next piece of the entry's contents and its offset in the file (offsets ascend, gaps are
  // holes); an empty span at the end. Valid until the next call.
  absl::StatusOr<absl::Span<const char>> NextBlock(int64_t& offset);

 private:
  static ssize_t ReadChunk(archive* reader, void* self, const void** buffer);
  absl::Status Failure(const char* step);
  absl::Status Convert(archive_entry* from, TarEntry& entry);

  ChunkReader& chunks_;
  archive* const archive_;
  bool in_header_ = false;
  size_t header_bytes_ = 0;
  absl::Status read_status_;  // why ReadChunk failed
};

}  // namespace crisp::snapshot
