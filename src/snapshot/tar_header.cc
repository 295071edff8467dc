#include "snapshot/tar_header.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace crisp::snapshot {
namespace {

constexpr absl::string_view kBlank(" \0", 2);

std::optional<int64_t> ParseOctal(absl::string_view field) {
  const size_t first = field.find_first_not_of(kBlank);
  if (first == absl::string_view::npos) return 0;
  field = field.substr(first, field.find_last_not_of(kBlank) + 1 - first);
  field = field.substr(0, field.find('\0'));
  uint64_t value = 0;  // a field has at most 12 digits
  for (const char c : field) {
    if (c < '0' || c > '7') return std::nullopt;
    value = value << 3 | static_cast<uint64_t>(c - '0');
  }
  return static_cast<int64_t>(value);
}

// Two's complement; the first bit only says that it is one.
std::optional<int64_t> ParseBinary(absl::string_view field) {
  const bool negative = (field[0] & 0x40) != 0;
  uint64_t value = 0;
  for (size_t i = 0; i < field.size(); ++i) {
    uint8_t byte = static_cast<uint8_t>(field[i]);
    if (negative) byte = static_cast<uint8_t>(~byte);
    if (i == 0) byte &= 0x7f;
    if (value >> 56 != 0) return std::nullopt;
    value = value << 8 | byte;
  }
  if (value >> 63 != 0) return std::nullopt;
  return static_cast<int64_t>(negative ? ~value : value);
}

std::string Text(const TarBlock& block, size_t at, size_t size) {
  const absl::string_view field = Field(block, at, size);
  return std::string(field.substr(0, field.find('\0')));
}

// Of the bytes as unsigned numbers, as POSIX has it, or as signed ones, as Sun's tar had it.
bool ChecksumIsRight(const TarBlock& block) {
  constexpr size_t kAt = 148;
  constexpr size_t kSize = 8;
  int64_t as_unsigned = 0;
  int64_t as_signed = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const char c = i >= kAt && i < kAt + kSize ? ' ' : block[i];
    as_unsigned += static_cast<unsigned char>(c);
    as_signed += static_cast<signed char>(c);
  }
  const std::optional<int64_t> sum = ParseOctal(Field(block, kAt, kSize));
  return sum.has_value() && (*sum == as_unsigned || *sum == as_signed);
}

TarHeader::Format FormatOf(const TarBlock& block) {
  const absl::string_view magic = Field(block, 257, 6);
  if (magic == absl::string_view("ustar\0", 6)) {
    const bool star = Field(block, 508, 4) == absl::string_view("tar\0", 4);
    return star ? TarHeader::Format::kStar : TarHeader::Format::kUstar;
  }
  const bool gnu = magic == "ustar " && Field(block, 263, 2) == absl::string_view(" \0", 2);
  return gnu ? TarHeader::Format::kGnu : TarHeader::Format::kV7;
}

// Reads fields; remembers the first one that is wrong.
class Numbers {
 public:
  explicit Numbers(const TarBlock& block) : block_(block) {}

  int64_t Read(const char* name, size_t at, size_t size) {
    const std::optional<int64_t> value = ParseTarNumber(Field(block_, at, size));
    if (!value.has_value() && wrong_ == nullptr) wrong_ = name;
    return value.value_or(0);
  }
  const char* wrong() const { return wrong_; }

 private:
  const TarBlock& block_;
  const char* wrong_ = nullptr;
};

// GNU tar has times where ustar has the prefix of a name. Old versions of Go's writer put a prefix
// there all the same, which shows in that it is not a time.
std::string GnuPrefix(const TarBlock& block) {
  for (const size_t at : {345, 357}) {
    const absl::string_view time = Field(block, at, 12);
    if (time[0] == '\0' || ParseTarNumber(time).has_value()) continue;
    std::string prefix = Text(block, 345, 155);
    return std::all_of(prefix.begin(), prefix.end(), absl::ascii_isascii) ? prefix : "";
  }
  return "";
}

}  // namespace

std::optional<int64_t> ParseTarNumber(absl::string_view field) {
  return (field[0] & 0x80) != 0 ? ParseBinary(field) : ParseOctal(field);
}

std::optional<int64_t> ParseDecimal(absl::string_view text) {
  // from_chars takes a minus itself.
  if (absl::ConsumePrefix(&text, "+") && !text.empty() && text[0] == '-') return std::nullopt;
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

absl::StatusOr<TarHeader> ParseTarHeader(const TarBlock& block) {
  if (!ChecksumIsRight(block)) {
    return absl::InvalidArgumentError("not a tar header: its checksum is wrong");
  }
  Numbers numbers(block);
  TarHeader header;
  header.format = FormatOf(block);
  header.name = Text(block, 0, 100);
  header.mode = numbers.Read("mode", 100, 8);
  header.uid = numbers.Read("uid", 108, 8);
  header.gid = numbers.Read("gid", 116, 8);
  header.size = numbers.Read("size", 124, 12);
  header.mtime.tv_sec = numbers.Read("mtime", 136, 12);
  header.type = block[156];
  header.link = Text(block, 157, 100);
  std::string prefix;
  if (header.format != TarHeader::Format::kV7) {
    header.major = numbers.Read("major", 329, 8);
    header.minor = numbers.Read("minor", 337, 8);
  }
  switch (header.format) {
    case TarHeader::Format::kV7:
      break;
    case TarHeader::Format::kUstar:
      prefix = Text(block, 345, 155);
      break;
    case TarHeader::Format::kStar:
      prefix = Text(block, 345, 131);
      // Not used, but a block with something else there is not a header.
      (void)numbers.Read("atime", 476, 12);
      (void)numbers.Read("ctime", 488, 12);
      break;
    case TarHeader::Format::kGnu:
      prefix = GnuPrefix(block);
      break;
  }
  if (numbers.wrong() != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("header: ", numbers.wrong(), ": not a number"));
  }
  if (!prefix.empty()) header.name = absl::StrCat(prefix, "/", header.name);
  return header;
}

}  // namespace crisp::snapshot
