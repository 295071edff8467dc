// Structured log lines on stderr: `time level message key=value ...`, one write(2) per line so that
// lines of several threads never mix; or whatever a sink makes of them. Thread-safe. Libraries
// return errors instead of logging; the RPC layer, background loops and main log.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name);  // debug, info, warn, error
void SetLogLevel(LogLevel level);                                // thread-safe

using LogField = std::pair<absl::string_view, std::string>;

// Takes entries instead of stderr. `text` is `message key=value ...`. Called by any thread; false
// sends the entry to stderr after all.
using LogSink = bool (*)(LogLevel level, const std::string& text,
                         std::initializer_list<LogField> fields);
void SetLogSink(LogSink sink);  // null: stderr; thread-safe

// An entry is always one line: what people would not see in the message and the values is written
// out (base/printable.h). Values with spaces, `"`, `\` or such are in quotes, with `\` before each
// `"` and `\` of theirs; all other text stays as it is.
void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace crisp::base
