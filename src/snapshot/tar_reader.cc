#include "snapshot/tar_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/printable.h"
#include "base/status_macros.h"

namespace crisp::snapshot {
namespace {

constexpr int64_t kMaxExtension = 1 << 20;
constexpr int64_t kBlock = kTarBlock;

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("tar: ", what));
}

absl::Status Truncated() { return Wrong("the archive is truncated"); }

absl::Status TooLarge() {
  return absl::ResourceExhaustedError(
      absl::StrCat("tar: a pax header, long name or map is larger than ", kMaxExtension, " bytes"));
}

bool IsZero(const TarBlock& block) {
  return std::all_of(block.begin(), block.end(), [](char c) { return c == 0; });
}

absl::StatusOr<TarEntry::Type> TypeOf(const TarHeader& header) {
  switch (header.type) {
    case '0':
    case '7':
    case 'S':
      return TarEntry::Type::kFile;
    case '1':
      return TarEntry::Type::kHardLink;
    case '2':
      return TarEntry::Type::kSymlink;
    case '3':
      return TarEntry::Type::kCharDevice;
    case '4':
      return TarEntry::Type::kBlockDevice;
    case '5':
      return TarEntry::Type::kDirectory;
    case '6':
      return TarEntry::Type::kFifo;
    default:
      return Wrong(absl::StrCat("an entry of type \"", base::Printable({&header.type, 1}),
                                "\" is not supported"));
  }
}

absl::Status Convert(TarHeader header, const PaxRecords& pax, TarEntry& entry) {
  entry = TarEntry();
  CRISP_ASSIGN_OR_RETURN(entry.type, TypeOf(header));
  entry.name = std::move(header.name);
  if (header.type == '1' || header.type == '2') entry.link = std::move(header.link);
  entry.mode = static_cast<mode_t>(header.mode & 07777);
  entry.uid = header.uid;
  entry.gid = header.gid;
  entry.size = header.HasContents() ? header.size : 0;
  entry.mtime = header.mtime;
  entry.major = header.major;
  entry.minor = header.minor;
  for (auto at = pax.lower_bound(kPaxXattr); at != pax.end(); ++at) {
    absl::string_view name = at->first;
    if (!absl::ConsumePrefix(&name, kPaxXattr)) break;
    entry.xattrs.push_back({std::string(name), at->second});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> TarReader::Next(TarEntry& entry) {
  Pending pending;
  while (true) {
    TarBlock block;
    TarHeader header;
    CRISP_ASSIGN_OR_RETURN(const bool more, NextHeader(block, header));
    if (!more) return false;
    CRISP_ASSIGN_OR_RETURN(const bool read, ReadPending(header, pending));
    if (read) continue;
    CRISP_RETURN_IF_ERROR(Complete(block, pending, header));
    if (header.type != 'V') {
      CRISP_RETURN_IF_ERROR(Convert(std::move(header), pending.pax, entry));
      return true;
    }
    pending = {};
  }
}

absl::StatusOr<bool> TarReader::NextHeader(TarBlock& block, TarHeader& header) {
  while (remaining_ > 0) {
    CRISP_ASSIGN_OR_RETURN(const absl::Span<const char> skipped, Take(remaining_));
    if (skipped.empty()) return Truncated();
    remaining_ -= static_cast<int64_t>(skipped.size());
  }
  // The padding of the last entry may be missing.
  CRISP_ASSIGN_OR_RETURN(const size_t padding, Read({block.data(), static_cast<size_t>(padding_)}));
  if (static_cast<int64_t>(padding) < padding_) return false;
  padding_ = 0;
  // Two blocks of zeros are the end. So is the end of the stream, after at most one.
  for (const bool first : {true, false}) {
    CRISP_ASSIGN_OR_RETURN(const size_t size, Read(absl::MakeSpan(block)));
    if (size == 0) return false;
    if (size < block.size()) return Truncated();
    if (!IsZero(block)) {
      if (!first) return Wrong("a block of zeros is followed by something else");
      break;
    }
    if (!first) return false;
  }
  CRISP_ASSIGN_OR_RETURN(header, ParseTarHeader(block));
  CRISP_RETURN_IF_ERROR(StartContents(header));
  return true;
}

absl::Status TarReader::StartContents(const TarHeader& header) {
  const int64_t size = header.HasContents() ? header.size : 0;
  if (size < 0) return Wrong("the size of a file is negative");
  remaining_ = size;
  padding_ = (kBlock - size % kBlock) % kBlock;
  regions_.assign(1, {0, size});
  region_ = 0;
  in_region_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<bool> TarReader::ReadPending(const TarHeader& header, Pending& pending) {
  constexpr absl::string_view kTypes = "xgLK";
  if (!absl::StrContains(kTypes, header.type)) return false;
  if (remaining_ > kMaxExtension) return TooLarge();
  std::string text(static_cast<size_t>(remaining_), '\0');
  CRISP_RETURN_IF_ERROR(ReadAll(absl::MakeSpan(text)));
  remaining_ = 0;
  switch (header.type) {
    case 'x': {
      CRISP_ASSIGN_OR_RETURN(pending.pax, ParsePax(text));
      return true;
    }
    case 'g':  // for all entries that follow, which nobody heeds; but it ends what is pending
      CRISP_RETURN_IF_ERROR(ParsePax(text).status());
      pending = {};
      return true;
    default:
      text.resize(std::min(text.find('\0'), text.size()));
      (header.type == 'L' ? pending.name : pending.link) = std::move(text);
      return true;
  }
}

absl::Status TarReader::Complete(const TarBlock& block, const Pending& pending, TarHeader& header) {
  CRISP_RETURN_IF_ERROR(ApplyPax(pending.pax, header));
  if (!pending.name.empty()) header.name = pending.name;
  if (!pending.link.empty()) header.link = pending.link;
  if (header.type == '\0') {
    // Old archives have no type for directories.
    header.type = absl::EndsWith(header.name, "/") ? '5' : '0';
  }
  CRISP_RETURN_IF_ERROR(StartContents(header));  // the size may be another one now
  return StartSparse(block, pending.pax, header);
}

absl::Status TarReader::StartSparse(const TarBlock& block, const PaxRecords& pax,
                                    TarHeader& header) {
  const SparseMap where = WhereSparseMap(pax);
  if (header.type == 'S') {
    CRISP_ASSIGN_OR_RETURN(regions_, ReadGnuMap(block, header));
  } else if (where != SparseMap::kNone) {
    if (!header.HasContents()) return Wrong("an entry without contents has a map of a sparse file");
    const absl::string_view name = ValueOf(pax, kPaxSparseName);
    if (!name.empty()) header.name = std::string(name);
    CRISP_ASSIGN_OR_RETURN(header.size, SparseSize(pax, header.size));
    CRISP_ASSIGN_OR_RETURN(
        regions_, where == SparseMap::kInRecords ? ParseSparseRecords(pax) : ReadMapInContents());
  } else {
    return absl::OkStatus();
  }
  return CheckSparse(regions_, header.size, remaining_);
}

absl::StatusOr<std::vector<SparseRegion>> TarReader::ReadGnuMap(const TarBlock& block,
                                                                TarHeader& header) {
  constexpr size_t kEntry = 24;
  if (header.format != TarHeader::Format::kGnu) return Wrong("a sparse file of unknown format");
  const std::optional<int64_t> size = ParseTarNumber(Field(block, 483, 12));
  if (!size.has_value()) return Wrong("the size of a sparse file is not a number");
  header.size = *size;
  std::vector<SparseRegion> regions;
  TarBlock next;
  absl::string_view entries = Field(block, 386, 4 * kEntry + 1);
  int64_t bytes = static_cast<int64_t>(entries.size());
  for (; bytes < kMaxExtension; bytes += kBlock) {
    CRISP_RETURN_IF_ERROR(AddSparseEntries(entries, regions));
    const bool last = entries[entries.size() / kEntry * kEntry] == '\0';
    if (last) return regions;
    CRISP_RETURN_IF_ERROR(ReadAll(absl::MakeSpan(next)));
    entries = Field(next, 0, next.size());
  }
  return TooLarge();
}

absl::StatusOr<std::vector<SparseRegion>> TarReader::ReadMapInContents() {
  std::string text;
  int64_t lines = 0;
  const auto read = [&](int64_t wanted) -> absl::Status {
    while (lines < wanted) {
      if (static_cast<int64_t>(text.size()) >= kMaxExtension) return TooLarge();
      if (remaining_ < kBlock) return Wrong("the map of a sparse file is truncated");
      TarBlock block;
      CRISP_RETURN_IF_ERROR(ReadAll(absl::MakeSpan(block)));
      remaining_ -= kBlock;
      text.append(block.data(), block.size());
      lines += std::count(block.begin(), block.end(), '\n');
    }
    return absl::OkStatus();
  };
  CRISP_RETURN_IF_ERROR(read(1));
  const absl::string_view first = absl::string_view(text).substr(0, text.find('\n'));
  const int64_t regions = ParseDecimal(first).value_or(-1);
  if (regions < 0) return Wrong("the map of a sparse file is wrong");
  if (regions > kMaxExtension) return TooLarge();
  CRISP_RETURN_IF_ERROR(read(1 + 2 * regions));
  std::vector<absl::string_view> words = absl::StrSplit(text, '\n');
  words.resize(static_cast<size_t>(1 + 2 * regions));
  return ParseSparseLines(words);
}

absl::StatusOr<absl::Span<const char>> TarReader::NextBlock(int64_t& offset) {
  while (region_ < regions_.size() && in_region_ == regions_[region_].size) {
    ++region_;
    in_region_ = 0;
  }
  if (region_ == regions_.size()) return absl::Span<const char>();
  const SparseRegion& region = regions_[region_];
  CRISP_ASSIGN_OR_RETURN(const absl::Span<const char> piece, Take(region.size - in_region_));
  if (piece.empty()) return Truncated();
  offset = region.offset + in_region_;
  in_region_ += static_cast<int64_t>(piece.size());
  remaining_ -= static_cast<int64_t>(piece.size());
  return piece;
}

absl::StatusOr<absl::Span<const char>> TarReader::Take(int64_t most) {
  if (chunk_.empty()) {
    CRISP_ASSIGN_OR_RETURN(chunk_, source_());
  }
  const size_t size =
      static_cast<size_t>(std::min<uint64_t>(chunk_.size(), static_cast<uint64_t>(most)));
  const absl::Span<const char> piece = chunk_.first(size);
  chunk_.remove_prefix(size);
  return piece;
}

absl::StatusOr<size_t> TarReader::Read(absl::Span<char> to) {
  size_t done = 0;
  while (done < to.size()) {
    CRISP_ASSIGN_OR_RETURN(const absl::Span<const char> piece,
                           Take(static_cast<int64_t>(to.size() - done)));
    if (piece.empty()) break;
    std::memcpy(to.data() + done, piece.data(), piece.size());
    done += piece.size();
  }
  return done;
}

absl::Status TarReader::ReadAll(absl::Span<char> to) {
  CRISP_ASSIGN_OR_RETURN(const size_t size, Read(to));
  return size == to.size() ? absl::OkStatus() : Truncated();
}

}  // namespace crisp::snapshot
