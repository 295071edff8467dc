#include "cli/log_lines.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace crisp::cli {
namespace {

// Longer lines are printed in pieces.
constexpr size_t kMaxLine = 1 << 20;

// Cuts the text before the next space off `rest`.
absl::string_view CutWord(absl::string_view& rest) {
  const size_t space = rest.find(' ');
  const absl::string_view word = rest.substr(0, space);
  rest.remove_prefix(space == rest.npos ? rest.size() : space + 1);
  return word;
}

}  // namespace

std::optional<LogLine> ParseLogLine(absl::string_view line) {
  absl::string_view rest = line;
  const absl::string_view time = CutWord(rest), stream = CutWord(rest), tag = CutWord(rest);
  if (time.find('T') == time.npos || (stream != "stdout" && stream != "stderr"))
    return std::nullopt;
  if (tag.empty() || (tag[0] != 'F' && tag[0] != 'P')) return std::nullopt;
  return LogLine{.is_part = tag[0] == 'P', .text = rest};
}

std::string LastLines(absl::string_view log, size_t max_lines, size_t max_bytes) {
  const std::vector<absl::string_view> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  std::string out;
  for (size_t i = lines.size() - std::min(lines.size(), max_lines); i < lines.size(); ++i) {
    const std::optional<LogLine> line = ParseLogLine(lines[i]);
    if (line.has_value()) absl::StrAppend(&out, line->text, line->is_part ? "" : "\n");
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  if (out.size() > max_bytes) out.erase(0, out.size() - max_bytes);
  return out;
}

LogFormat::LogFormat(std::vector<std::string> names, bool has_colors) : parts_(names.size()) {
  static constexpr const char* kColors[] = {"36", "33", "32", "35", "34", "31"};
  size_t width = 0;
  for (const std::string& name : names) width = std::max(width, name.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string padded = names[i] + std::string(width - names[i].size(), ' ');
    std::string prefix = absl::StrCat(padded, " | ");
    if (has_colors)
      prefix = absl::StrCat("\x1b[", kColors[i % std::size(kColors)], "m", padded, " |\x1b[0m ");
    prefixes_.push_back(names.size() == 1 ? "" : prefix);
  }
}

std::string LogFormat::Format(size_t index, absl::string_view line) {
  std::string& text = parts_[index];
  const std::optional<LogLine> parsed = ParseLogLine(line);
  absl::StrAppend(&text, parsed.has_value() ? parsed->text : line);
  if (parsed.has_value() && parsed->is_part && text.size() < kMaxLine) return "";
  std::string out = absl::StrCat(prefixes_[index], text, "\n");
  text.clear();
  return out;
}

}  // namespace crisp::cli
