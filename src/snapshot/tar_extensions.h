// What tar archives have outside of header blocks: records of pax headers (POSIX.1-2001) and the
// maps of sparse files (GNU tar's manual, "Sparse Formats"), read as Go's archive/tar does. Pure,
// thread-safe. Errors are kInvalidArgument.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "snapshot/tar_header.h"

namespace crisp::snapshot {

inline constexpr char kPaxXattr[] = "SCHILY.xattr.";
inline constexpr char kPaxSparseName[] = "GNU.sparse.name";

// Of a header's records those that say something about the file, the last one of each key.
using PaxRecords = std::map<std::string, std::string, std::less<>>;
absl::StatusOr<PaxRecords> ParsePax(absl::string_view text);

// The value of a record, or "".
absl::string_view ValueOf(const PaxRecords& records, absl::string_view key);

// Puts name, link, ids, size and time into the header. A record without a value changes nothing.
absl::Status ApplyPax(const PaxRecords& records, TarHeader& header);

// A part of a file that the archive has; what is between two of them is a hole.
struct SparseRegion {
  int64_t offset = 0;
  int64_t size = 0;
};

// Where a pax header says that the map of a sparse file is.
enum class SparseMap { kNone, kInRecords, kInContents };
SparseMap WhereSparseMap(const PaxRecords& records);

// kInRecords (formats 0.0 and 0.1).
absl::StatusOr<std::vector<SparseRegion>> ParseSparseRecords(const PaxRecords& records);
// kInContents (format 1.0): lines with the number of regions, then offset and size of each.
absl::StatusOr<std::vector<SparseRegion>> ParseSparseLines(
    const std::vector<absl::string_view>& lines);
// The size of the file with its holes; `otherwise` if no record has it.
absl::StatusOr<int64_t> SparseSize(const PaxRecords& records, int64_t otherwise);

// Adds the regions of an old GNU header or of one of the blocks that follow it: entries of 24
// bytes, then a byte that says whether another block follows.
absl::Status AddSparseEntries(absl::string_view entries, std::vector<SparseRegion>& regions);

// Regions must ascend within `size`; empty ones are removed. `stored`: the bytes that the archive
// has, which must be theirs.
absl::Status CheckSparse(std::vector<SparseRegion>& regions, int64_t size, int64_t stored);

}  // namespace crisp::snapshot
