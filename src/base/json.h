// The one place where nlohmann-json's exceptions become absl::Status. JSON values never cross a
// function signature outside a *_codec.cc: a codec turns a typed struct into text and back.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace crisp::base {

using Json = nlohmann::json;

// Whether brackets outside strings nest at most `max_depth` deep; hostile documents are refused
// before parsing.
inline bool JsonDepthWithin(absl::string_view text, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > max_depth) return false;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return true;
}

// The library casts a fraction to whatever integer is asked for, which is undefined where it does
// not fit. No number of ours is a fraction: one that would not fit every integer becomes null,
// which is no number.
inline void DropLargeFractions(Json& value) {
  if (value.is_structured()) {
    for (Json& member : value) DropLargeFractions(member);
  } else if (value.is_number_float()) {
    const double number = value.get<double>();
    if (!(number >= 0 && number <= UINT16_MAX)) value = nullptr;
  }
}

// Runs `decode(const Json&) -> T` on parsed text. Bad syntax, a wrong type or a missing member
// become kInvalidArgument "<what>: <parser's words>".
template <typename Decode>
auto DecodeJson(absl::string_view what, absl::string_view text, Decode decode)
    -> absl::StatusOr<decltype(decode(std::declval<const Json&>()))> {
  constexpr int kMaxDepth = 100;
  if (!JsonDepthWithin(text, kMaxDepth)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": nested more than ", kMaxDepth, " deep"));
  }
  try {
    Json value = Json::parse(text.begin(), text.end());
    DropLargeFractions(value);
    return decode(std::as_const(value));
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at ...": the number helps no reader.
    const absl::string_view words = error.what();
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", words.substr(words.find("] ") + 2)));
  }
}

// dump() that never throws: bytes that are not UTF-8 are replaced.
inline std::string DumpJson(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace crisp::base
