#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/printable.h"

namespace crisp::base {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<LogSink> g_sink{nullptr};

constexpr absl::string_view kNames[] = {"debug", "info", "warn", "error"};

// `"` ends a value and `\` begins an escape, so both are escaped, and nothing else that people can
// read: they search the log for the text that they know.
std::string Quoted(const std::string& value) {
  const std::string shown = Printable(absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}}));
  const bool plain = !value.empty() && shown == value && !absl::StrContains(value, ' ');
  return plain ? value : absl::StrCat("\"", shown, "\"");
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return static_cast<LogLevel>(i);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("log level \"", name, "\": must be debug, info, warn or error"));
}

void SetLogLevel(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }

void SetLogSink(LogSink sink) { g_sink.store(sink, std::memory_order_relaxed); }

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  std::string text = Printable(message);
  for (const auto& [key, value] : fields) absl::StrAppend(&text, " ", key, "=", Quoted(value));
  const LogSink sink = g_sink.load(std::memory_order_relaxed);
  if (sink != nullptr && sink(level, text, fields)) return;
  const std::string line =
      absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone()), " ",
                   kNames[static_cast<size_t>(level)], " ", text, "\n");
  // crispd goes on when stderr is full or closed, so the result is ignored.
  (void)!write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace crisp::base
