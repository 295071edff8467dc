#include "snapshot/tar_extensions.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace crisp::snapshot {
namespace {

constexpr absl::string_view kSparse = "GNU.sparse.";
constexpr absl::string_view kSparseMajor = "GNU.sparse.major";
constexpr absl::string_view kSparseMinor = "GNU.sparse.minor";
constexpr absl::string_view kSparseMapKey = "GNU.sparse.map";
constexpr absl::string_view kSparseOffset = "GNU.sparse.offset";
constexpr absl::string_view kSparseBytes = "GNU.sparse.numbytes";
constexpr absl::string_view kKnown[] = {"path", "linkpath", "size",  "uid",
                                        "gid",  "mtime",    "atime", "ctime"};

absl::Status WrongPax(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("pax header: ", what));
}

absl::Status WrongMap() { return absl::InvalidArgumentError("the map of a sparse file is wrong"); }

bool IsKnown(absl::string_view key) {
  return std::find(std::begin(kKnown), std::end(kKnown), key) != std::end(kKnown) ||
         absl::StartsWith(key, kPaxXattr) || absl::StartsWith(key, kSparse);
}

// Values of these are words in C; other values may have any byte.
bool IsText(absl::string_view key) {
  return key == "path" || key == "linkpath" || key == "uname" || key == "gname";
}

struct Record {
  absl::string_view key;
  absl::string_view value;
};

// Takes "<length of the record> <key>=<value>\n" from the front of `text`.
absl::StatusOr<Record> TakeRecord(absl::string_view& text) {
  const size_t space = text.find(' ');
  if (space == absl::string_view::npos) return WrongPax("a record has no length");
  const std::optional<int64_t> length = ParseDecimal(text.substr(0, space));
  constexpr int64_t kShortest = 5;
  if (!length.has_value() || *length < kShortest || static_cast<uint64_t>(*length) > text.size() ||
      static_cast<uint64_t>(*length) <= space + 1) {
    return WrongPax("the length of a record is wrong");
  }
  absl::string_view record = text.substr(space + 1, static_cast<size_t>(*length) - space - 1);
  if (record.back() != '\n') return WrongPax("a record does not end with a line break");
  text.remove_prefix(static_cast<size_t>(*length));
  record.remove_suffix(1);
  const size_t equals = record.find('=');
  if (equals == absl::string_view::npos || equals == 0) return WrongPax("a record has no key");
  const Record result = {record.substr(0, equals), record.substr(equals + 1)};
  if (absl::StrContains(IsText(result.key) ? result.value : result.key, '\0')) {
    return WrongPax("a record has a NUL");
  }
  return result;
}

std::optional<timespec> ParseTime(absl::string_view text) {
  constexpr size_t kDigits = 9;
  const size_t dot = std::min(text.find('.'), text.size());
  const std::optional<int64_t> seconds = ParseDecimal(text.substr(0, dot));
  if (!seconds.has_value()) return std::nullopt;
  timespec time = {*seconds, 0};
  size_t digits = 0;
  for (const char c : text.substr(std::min(dot + 1, text.size()))) {
    if (c < '0' || c > '9') return std::nullopt;
    if (digits++ < kDigits) time.tv_nsec = time.tv_nsec * 10 + (c - '0');
  }
  for (; digits < kDigits; ++digits) time.tv_nsec *= 10;
  if (text[0] != '-' || time.tv_nsec == 0) return time;
  // "-1.25" is 0.75 s after -2 s.
  time.tv_nsec =
      time.tv_sec > std::numeric_limits<int64_t>::min() ? 1'000'000'000 - time.tv_nsec : 0;
  if (time.tv_sec > std::numeric_limits<int64_t>::min()) --time.tv_sec;
  return time;
}

absl::Status ApplyNumber(const std::string& key, const std::string& value, TarHeader& header) {
  const std::optional<int64_t> number = ParseDecimal(value);
  if (!number.has_value()) return WrongPax(absl::StrCat(key, ": not a number"));
  (key == "uid" ? header.uid : key == "gid" ? header.gid : header.size) = *number;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PaxRecords> ParsePax(absl::string_view text) {
  PaxRecords records;
  std::vector<absl::string_view> map;  // of format 0.0, which repeats two keys
  while (!text.empty()) {
    CRISP_ASSIGN_OR_RETURN(const Record record, TakeRecord(text));
    if (record.key == kSparseOffset || record.key == kSparseBytes) {
      const bool offset_is_next = map.size() % 2 == 0;
      if (offset_is_next != (record.key == kSparseOffset) || absl::StrContains(record.value, ',')) {
        return WrongMap();
      }
      map.push_back(record.value);
    } else if (IsKnown(record.key)) {
      records.insert_or_assign(std::string(record.key), std::string(record.value));
    }
  }
  if (!map.empty()) records.insert_or_assign(std::string(kSparseMapKey), absl::StrJoin(map, ","));
  return records;
}

absl::string_view ValueOf(const PaxRecords& records, absl::string_view key) {
  const auto at = records.find(key);
  return at == records.end() ? absl::string_view() : absl::string_view(at->second);
}

absl::Status ApplyPax(const PaxRecords& records, TarHeader& header) {
  for (const auto& [key, value] : records) {
    if (value.empty()) continue;
    if (key == "path") {
      header.name = value;
    } else if (key == "linkpath") {
      header.link = value;
    } else if (key == "size" || key == "uid" || key == "gid") {
      CRISP_RETURN_IF_ERROR(ApplyNumber(key, value, header));
    } else if (key == "mtime" || key == "atime" || key == "ctime") {
      const std::optional<timespec> time = ParseTime(value);
      if (!time.has_value()) return WrongPax(absl::StrCat(key, ": not a time"));
      if (key == "mtime") header.mtime = *time;
    }
  }
  return absl::OkStatus();
}

SparseMap WhereSparseMap(const PaxRecords& records) {
  const absl::string_view major = ValueOf(records, kSparseMajor);
  const absl::string_view minor = ValueOf(records, kSparseMinor);
  if (major == "0" && (minor == "0" || minor == "1")) return SparseMap::kInRecords;
  if (major == "1" && minor == "0") return SparseMap::kInContents;
  if (!major.empty() || !minor.empty()) return SparseMap::kNone;
  const bool old = !ValueOf(records, kSparseMapKey).empty();
  return old ? SparseMap::kInRecords : SparseMap::kNone;
}

absl::StatusOr<std::vector<SparseRegion>> ParseSparseRecords(const PaxRecords& records) {
  std::vector<absl::string_view> lines = {ValueOf(records, "GNU.sparse.numblocks")};
  const absl::string_view map = ValueOf(records, kSparseMapKey);
  if (!map.empty()) {
    const std::vector<absl::string_view> numbers = absl::StrSplit(map, ',');
    lines.insert(lines.end(), numbers.begin(), numbers.end());
  }
  return ParseSparseLines(lines);
}

absl::StatusOr<std::vector<SparseRegion>> ParseSparseLines(
    const std::vector<absl::string_view>& lines) {
  const std::optional<int64_t> count = ParseDecimal(lines[0]);
  const size_t numbers = lines.size() - 1;
  if (!count.has_value() || *count < 0 || numbers % 2 != 0 ||
      static_cast<uint64_t>(*count) != numbers / 2) {
    return WrongMap();
  }
  std::vector<SparseRegion> regions;
  for (size_t i = 1; i < lines.size(); i += 2) {
    const std::optional<int64_t> offset = ParseDecimal(lines[i]);
    const std::optional<int64_t> size = ParseDecimal(lines[i + 1]);
    if (!offset.has_value() || !size.has_value()) return WrongMap();
    regions.push_back({*offset, *size});
  }
  return regions;
}

absl::StatusOr<int64_t> SparseSize(const PaxRecords& records, int64_t otherwise) {
  absl::string_view text = ValueOf(records, "GNU.sparse.size");
  if (text.empty()) text = ValueOf(records, "GNU.sparse.realsize");
  if (text.empty()) return otherwise;
  const std::optional<int64_t> size = ParseDecimal(text);
  if (!size.has_value()) return WrongPax("GNU.sparse.realsize: not a number");
  return *size;
}

absl::Status AddSparseEntries(absl::string_view entries, std::vector<SparseRegion>& regions) {
  constexpr size_t kNumber = 12;
  for (size_t at = 0; at + 2 * kNumber <= entries.size(); at += 2 * kNumber) {
    if (entries[at] == '\0') break;  // unused, like all behind it
    const std::optional<int64_t> offset = ParseTarNumber(entries.substr(at, kNumber));
    const std::optional<int64_t> size = ParseTarNumber(entries.substr(at + kNumber, kNumber));
    if (!offset.has_value() || !size.has_value()) return WrongMap();
    regions.push_back({*offset, *size});
  }
  return absl::OkStatus();
}

absl::Status CheckSparse(std::vector<SparseRegion>& regions, int64_t size, int64_t stored) {
  int64_t end = 0;
  int64_t sum = 0;
  if (size < 0) return WrongMap();
  for (const SparseRegion& region : regions) {
    if (region.offset < end || region.size < 0 || region.offset > size ||
        region.size > size - region.offset) {
      return WrongMap();
    }
    end = region.offset + region.size;
    sum += region.size;
  }
  if (sum != stored) {
    return absl::InvalidArgumentError("a sparse file has more or fewer bytes than its map says");
  }
  regions.erase(std::remove_if(regions.begin(), regions.end(),
                               [](const SparseRegion& region) { return region.size == 0; }),
                regions.end());
  return absl::OkStatus();
}

}  // namespace crisp::snapshot
