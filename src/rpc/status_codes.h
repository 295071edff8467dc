// The one conversion of an error to what goes over the wire. absl and gRPC codes are the same
// numbers; the message is cut to what a kubelet event can show, at a UTF-8 boundary.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace crisp::rpc {

struct WireStatus {
  int code = 0;
  std::string message;
};

inline constexpr size_t kMaxMessageBytes = 4096;

WireStatus ToWire(const absl::Status& status);

}  // namespace crisp::rpc
