// The messages of remotecommand's error and resize channels. Since protocol v4 the result of a
// command is a metav1.Status in JSON; before that it is plain text, empty for success. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::streaming {

// `exit_code` 0 to 255.
std::string EncodeExit(int exit_code, bool as_json);
// The result of a command that could not be run or an attachment that failed: Kubernetes'
// InternalError.
std::string EncodeFailure(absl::string_view message, bool as_json);

struct TerminalSize {
  uint16_t columns = 0;
  uint16_t rows = 0;
};

inline constexpr size_t kMaxResizeBytes = 256;

// One {"Width":80,"Height":24}, the names in any case; other members are ignored. kInvalidArgument
// for anything else, also for a size of 0, which a client sends that does not know its own: other
// runtimes keep the size there is.
absl::StatusOr<TerminalSize> DecodeTerminalSize(absl::string_view text);

}  // namespace crisp::streaming
