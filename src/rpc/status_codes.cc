#include "rpc/status_codes.h"

#include "absl/strings/match.h"
#include "base/printable.h"

namespace crisp::rpc {

WireStatus ToWire(const absl::Status& status) {
  if (status.ok()) return {};
  int code = static_cast<int>(status.code());
  // kubelet recognizes these by the start of the text, and only when the code is Unknown.
  if (absl::StartsWith(status.message(), "RegistryUnavailable: "))
    code = static_cast<int>(absl::StatusCode::kUnknown);
  // Clients fail on text that is not UTF-8 instead of showing it.
  return {.code = code, .message = base::Printable(status.message(), kMaxMessageBytes)};
}

}  // namespace crisp::rpc
