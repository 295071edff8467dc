#include "cri/status_map.h"

#include "absl/strings/match.h"

namespace crisp::cri {
namespace {

// Bytes that are no part of a UTF-8 sequence would make gRPC clients fail on the error itself.
std::string Printable(absl::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMaxMessageBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    out += (byte < 0x20 || byte >= 0x7f) ? '?' : c;
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

}  // namespace crisp::cri
