// Text of others in a message or a log line. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace crisp::base {

// On one line and in UTF-8: control characters and bytes that are not UTF-8 become "\n", "\001".
// Quotes stay as they are, so that people find the text they search for.
std::string Printable(absl::string_view text);

}  // namespace crisp::base
