// JSON for the codecs (*_codec.cc), each of which turns one typed struct into text and back. JSON
// values do not appear in signatures outside a codec. nlohmann-json throws; DecodeJson() turns that
// into absl::Status. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace crisp::base {

// Refuses a fraction and a number out of the type's range, as Go's decoder does. nlohmann-json
// itself casts both silently.
template <typename T, typename = void>
struct JsonSerializer : nlohmann::adl_serializer<T, void> {};

template <typename T>
struct JsonSerializer<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>>
    : nlohmann::adl_serializer<T, void> {
  template <typename Value>
  static void from_json(const Value& value, T& out) {
    using Error = typename Value::type_error;
    if (!value.is_number_integer()) {
      const std::string found = value.is_number() ? value.dump() : value.type_name();
      throw Error::create(302, absl::StrCat("type must be integer, but is ", found), &value);
    }
    const auto put = [&](auto number) {
      if (!std::in_range<T>(number)) {
        throw Error::create(302, absl::StrCat(number, " is out of range"), &value);
      }
      out = static_cast<T>(number);
    };
    if (const auto* large = value.template get_ptr<const typename Value::number_unsigned_t*>()) {
      put(*large);
    } else {
      put(value.template get_ref<const typename Value::number_integer_t&>());
    }
  }
};

using Json = nlohmann::basic_json<std::map, std::vector, std::string, bool, int64_t, uint64_t,
                                  double, std::allocator, JsonSerializer>;

// Whether brackets outside strings nest at most `max_depth` deep. Checked before parsing, because
// the parser recurses and a hostile document could overflow its stack.
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

// The exception's text without its "[json.exception.parse_error.101] ".
inline std::string JsonErrorWords(const Json::exception& error) {
  const std::string words = error.what();
  return words.substr(words.find("] ") + 2);
}

// Of a name that an object has twice.
enum class SameNames { kLastCounts, kRefused };

// Throws for what the parser does not take.
inline Json ParseJson(absl::string_view text, SameNames same_names) {
  if (same_names == SameNames::kLastCounts) return Json::parse(text.begin(), text.end());
  std::vector<std::set<std::string>> open;  // the names of the objects that are being parsed
  const auto look = [&open](int, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event != Json::parse_event_t::key) return true;
    const std::string name = parsed.get<std::string>();
    if (!open.back().insert(name).second) {
      throw Json::other_error::create(501, absl::StrCat(name, " is given twice"), &parsed);
    }
    return true;
  };
  return Json::parse(text.begin(), text.end(), look);
}

// Runs `decode(const Json&) -> T` on parsed text. Bad syntax, a wrong type or a missing member
// become kInvalidArgument "<what>: <parser's words>".
template <typename Decode>
auto DecodeJson(absl::string_view what, absl::string_view text, Decode decode,
                SameNames same_names = SameNames::kLastCounts)
    -> absl::StatusOr<decltype(decode(std::declval<const Json&>()))> {
  constexpr int kMaxDepth = 100;
  if (!JsonDepthWithin(text, kMaxDepth)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": nested more than ", kMaxDepth, " deep"));
  }
  try {
    const Json value = ParseJson(text, same_names);
    return decode(value);
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", JsonErrorWords(error)));
  }
}

// dump() that never throws: bytes that are not UTF-8 are replaced.
inline std::string DumpJson(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace crisp::base
