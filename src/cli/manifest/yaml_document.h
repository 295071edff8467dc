// YAML as a tree that knows its lines, so that every error can name one. The only place of the
// command that knows yaml-cpp. Plain values; parsing is pure and thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::cli {

struct YamlMember;

struct YamlValue {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 0;            // from 1
  bool is_quoted = false;  // of a scalar: also a block (| and >), which is text as quotes are
  std::string text;        // of a scalar
  std::vector<YamlValue> items;
  std::vector<YamlMember> members;  // in the order of the text
};

struct YamlMember {
  std::string name;
  int line = 0;
  YamlValue value;
};

// The documents of `text`, without empty ones. kInvalidArgument "<line>: <reason>" for what is not
// YAML, a name that is given twice, merge keys, tags, and aliases that make the text too large.
absl::StatusOr<std::vector<YamlValue>> ParseYaml(const std::string& text);

// Puts the documents of `text` behind those of `all`: without the byte order mark, directives
// (%YAML, %TAG) and comments at its beginning, which can only stand there. Tags are refused, and
// all text is read as the same version.
void AppendDocuments(absl::string_view text, std::string& all);

// What a plain scalar is to kubectl (YAML 1.1), which decides whether a text field may have it.
enum class PlainType { kText, kNull, kBool, kNumber };
PlainType TypeOfPlain(absl::string_view text);

}  // namespace crisp::cli
