#include "rpc/status_codes.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace crisp::rpc {
namespace {

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

// Names in a message may hold any bytes, and clients fail on text that is not UTF-8 instead of
// showing it.
std::string Printable(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t bytes = SequenceBytes(text);
    const size_t taken = bytes == 0 ? 1 : bytes;
    if (out.size() + taken > kMaxMessageBytes) break;
    if (bytes == 0 || absl::ascii_iscntrl(text[0])) {
      out += '?';
    } else {
      out.append(text.data(), bytes);
    }
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace

WireStatus ToWire(const absl::Status& status) {
  if (status.ok()) return {};
  int code = static_cast<int>(status.code());
  // kubelet recognizes these by the start of the text, and only when the code is Unknown.
  if (absl::StartsWith(status.message(), "RegistryUnavailable: "))
    code = static_cast<int>(absl::StatusCode::kUnknown);
  return {.code = code, .message = Printable(status.message())};
}

}  // namespace crisp::rpc
