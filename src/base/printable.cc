#include "base/printable.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace crisp::base {
namespace {

// Unicode's controls and format characters (categories Cc, Cf, Zl, Zp) that terminals heed.
constexpr struct {
  uint32_t first;
  uint32_t last;
} kUnseen[] = {{0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},      {0x61c, 0x61c},
               {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},  {0x2060, 0x206f},
               {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};

// Bytes of the UTF-8 sequence `text` starts with (RFC 3629, section 4); 0 if it is not one.
size_t SequenceBytes(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0);
  const size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return 0;
  for (size_t i = 1; i < size; ++i) {
    if (byte(i) >> 6 != 2) return 0;
  }
  // Longer than need be, half of a surrogate pair, or beyond the last character.
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return size;
}

uint32_t CodePoint(absl::string_view sequence) {
  constexpr uint32_t kFirstBits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  uint32_t code = static_cast<unsigned char>(sequence[0]) & kFirstBits[sequence.size()];
  for (const char c : sequence.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
  return code;
}

std::string Shown(absl::string_view sequence) {
  const uint32_t code = CodePoint(sequence);
  const bool seen = std::none_of(std::begin(kUnseen), std::end(kUnseen), [code](const auto& range) {
    return code >= range.first && code <= range.last;
  });
  if (seen) return std::string(sequence);
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  return code < 0x80 ? absl::StrCat("\\x", absl::Hex(code, absl::kZeroPad2))
                     : absl::StrCat("\\u", absl::Hex(code, absl::kZeroPad4));
}

}  // namespace

std::string Printable(absl::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const size_t bytes = SequenceBytes(text);
    const std::string shown =
        bytes == 0 ? absl::StrCat("\\x", absl::Hex(static_cast<unsigned char>(text[0])))
                   : Shown(text.substr(0, bytes));
    if (shown.size() > max_bytes - out.size()) break;
    out += shown;
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return out;
}

}  // namespace crisp::base
