// Text of others in a message or a log line. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace crisp::base {

// `text` on one line and in UTF-8, as far as it takes `max_bytes`, cut between characters. What
// people would not see is written out: control characters ("\n", "\x1b"), bytes that are not UTF-8
// ("\xff"), characters that hide or turn around what follows them ("\u202e"). All others stay as
// they are, also quotes and backslashes: people find the text they search for, and printable text
// does not change.
std::string Printable(absl::string_view text, size_t max_bytes = absl::string_view::npos);

}  // namespace crisp::base
