// Lines of container logs (CRI's format, one file per run) as people want to read them: without
// time and tags, parts put together, each with its container's name where there are several. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace crisp::cli {

struct LogLine {
  bool is_part = false;    // the next line goes on
  absl::string_view text;  // of the parsed line
};

// "2026-11-29T00:17:09.669794202Z stdout F text"; nothing for what is not such a line.
std::optional<LogLine> ParseLogLine(absl::string_view line);

// The text of the last lines of a log, as its container wrote it, of at most so many lines and
// bytes. What is not a line of a log, such as the rest of one at the beginning, is left out.
std::string LastLines(absl::string_view log, size_t max_lines, size_t max_bytes);

class LogFormat {
 public:
  // With `has_colors` each name has a colour of its own.
  LogFormat(std::vector<std::string> names, bool has_colors);

  // What to print for a line (without its line break) of the container with this index; empty while
  // only parts have come.
  std::string Format(size_t index, absl::string_view line);

 private:
  std::vector<std::string> prefixes_;
  std::vector<std::string> parts_;
};

}  // namespace crisp::cli
