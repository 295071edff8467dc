#include "cli/manifest/fields.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/printable.h"

namespace crisp::cli {
namespace {

constexpr size_t kShownBytes = 60;

// Decimal, octal (0644 as in YAML 1.1, 0o644) or hexadecimal.
bool ParseInt(const std::string& text, int64_t& out) {
  const bool is_octal = absl::StartsWith(text, "0o");
  const std::string digits = is_octal ? absl::StrCat("0", text.substr(2)) : text;
  if (digits.empty() || absl::ascii_isspace(digits[0])) return false;
  char* end = nullptr;
  errno = 0;
  out = std::strtoll(digits.c_str(), &end, 0);
  return errno == 0 && end == digits.c_str() + digits.size();
}

std::string Shown(const YamlValue& value) {
  return absl::StrCat("\"", base::Printable(value.text, kShownBytes), "\"");
}

absl::string_view KindName(YamlValue::Kind kind) {
  switch (kind) {
    case YamlValue::Kind::kNull:
      return "null";
    case YamlValue::Kind::kScalar:
      return "a single value";
    case YamlValue::Kind::kList:
      return "a list";
    case YamlValue::Kind::kMap:
      return "an object";
  }
  return "";
}

bool IsKind(const YamlValue& value, const Place& place, YamlValue::Kind kind, Problems& problems) {
  if (value.kind == kind) return true;
  problems.Add(place, absl::StrCat("must be ", KindName(kind), ", not ", KindName(value.kind)));
  return false;
}

bool AsText(const YamlValue& value, const Place& place, std::string& out, Problems& problems) {
  if (!IsKind(value, place, YamlValue::Kind::kScalar, problems)) return false;
  if (!value.is_quoted && TypeOfPlain(value.text) != PlainType::kText) {
    problems.Add(place, absl::StrCat(value.text, " is not text: put it in quotes"));
    return false;
  }
  if (value.text.find('\0') != std::string::npos) {
    problems.Add(place, "must not contain a NUL byte");
    return false;
  }
  out = value.text;
  return true;
}

bool AsInt(const YamlValue& value, const Place& place, int64_t min, int64_t max, int64_t& out,
           Problems& problems) {
  if (!IsKind(value, place, YamlValue::Kind::kScalar, problems)) return false;
  int64_t number = 0;
  if (value.is_quoted || !ParseInt(value.text, number) || number < min || number > max) {
    problems.Add(place,
                 absl::StrCat("must be a number from ", min, " to ", max, ", not ", Shown(value)));
    return false;
  }
  out = number;
  return true;
}

bool AsAmount(const YamlValue& value, const Place& place, Quantity& out, Problems& problems) {
  if (!IsKind(value, place, YamlValue::Kind::kScalar, problems)) return false;
  const absl::StatusOr<Quantity> amount = Quantity::Parse(value.text);
  if (!amount.ok()) {
    problems.Add(place, absl::StrCat(Shown(value), " ", amount.status().message()));
    return false;
  }
  out = *amount;
  return true;
}

// The item with this index of the list at `list`.
Place ItemPlace(Place list, size_t index, const YamlValue& item) {
  list.line = item.line;
  absl::StrAppend(&list.path, "[", index, "]");
  return list;
}

// A member of the map of free names at `map`.
Place KeyPlace(Place map, const YamlMember& member) {
  map.line = member.line;
  absl::StrAppend(&map.path, ".", base::Printable(member.name, kShownBytes));
  return map;
}

}  // namespace

void Problems::Add(const Place& place, absl::string_view text) {
  const std::string path = place.path.empty() ? "" : absl::StrCat(place.path, ": ");
  // The text may have values of the manifest in it.
  lines_.push_back({{place.file, place.line},
                    absl::StrCat(place.file, ":", place.line, ": ", path, base::Printable(text))});
}

std::vector<std::string> Problems::Lines() const {
  auto sorted = lines_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> lines;
  for (auto& entry : sorted) lines.push_back(std::move(entry.second));
  return lines;
}

Fields::Fields(const YamlValue& value, Place place, Problems& problems)
    : value_(value), place_(std::move(place)), problems_(problems) {
  IsKind(value_, place_, YamlValue::Kind::kMap, problems_);
}

Fields::~Fields() {
  for (const YamlMember& member : value_.members) {
    if (known_.count(member.name) == 0) Add(member.name, "is not a field that crisp play knows");
  }
}

const YamlMember* Fields::Find(absl::string_view name) const {
  for (const YamlMember& member : value_.members) {
    if (member.name == name) return &member;
  }
  return nullptr;
}

bool Fields::Has(absl::string_view name) const {
  const YamlMember* member = Find(name);
  return member != nullptr && member->value.kind != YamlValue::Kind::kNull;
}

Place Fields::PlaceOf(absl::string_view name) const {
  if (name.empty()) return place_;
  const YamlMember* member = Find(name);
  return {.file = place_.file,
          .line = member != nullptr ? member->line : place_.line,
          .path = place_.path.empty()
                      ? base::Printable(name, kShownBytes)
                      : absl::StrCat(place_.path, ".", base::Printable(name, kShownBytes))};
}

const YamlValue* Fields::Take(absl::string_view name) {
  Known(name);
  return Has(name) ? &Find(name)->value : nullptr;
}

void Fields::Skip() {
  for (const YamlMember& member : value_.members) Known(member.name);
}

bool Fields::Require(absl::string_view name) {
  Known(name);
  const YamlMember* member = Find(name);
  const bool is_empty = member != nullptr && member->value.kind == YamlValue::Kind::kScalar &&
                        member->value.text.empty();
  if (Has(name) && !is_empty) return true;
  Add(name, "is missing");
  return false;
}

void Fields::Text(absl::string_view name, std::string& out) {
  if (const YamlValue* value = Take(name)) AsText(*value, PlaceOf(name), out, problems_);
}

void Fields::Bool(absl::string_view name, bool& out) {
  const YamlValue* value = Take(name);
  if (value == nullptr || !IsKind(*value, PlaceOf(name), YamlValue::Kind::kScalar, problems_))
    return;
  const std::string word = absl::AsciiStrToLower(value->text);
  if (value->is_quoted || (word != "true" && word != "false")) {
    Add(name, absl::StrCat("must be true or false, not ", Shown(*value)));
    return;
  }
  out = word == "true";
}

void Fields::Int(absl::string_view name, int64_t& out, int64_t min, int64_t max) {
  if (const YamlValue* value = Take(name)) AsInt(*value, PlaceOf(name), min, max, out, problems_);
}

void Fields::Int(absl::string_view name, std::optional<int64_t>& out, int64_t min, int64_t max) {
  int64_t number = 0;
  const YamlValue* value = Take(name);
  if (value != nullptr && AsInt(*value, PlaceOf(name), min, max, number, problems_)) out = number;
}

void Fields::Amount(absl::string_view name, Quantity& out) {
  if (const YamlValue* value = Take(name)) AsAmount(*value, PlaceOf(name), out, problems_);
}

void Fields::Texts(absl::string_view name, std::vector<std::string>& out) {
  const YamlValue* value = Take(name);
  if (value == nullptr || !IsKind(*value, PlaceOf(name), YamlValue::Kind::kList, problems_)) return;
  for (size_t i = 0; i < value->items.size(); ++i) {
    std::string text;
    if (AsText(value->items[i], ItemPlace(PlaceOf(name), i, value->items[i]), text, problems_))
      out.push_back(text);
  }
}

void Fields::Ints(absl::string_view name, std::vector<int64_t>& out, int64_t max) {
  const YamlValue* value = Take(name);
  if (value == nullptr || !IsKind(*value, PlaceOf(name), YamlValue::Kind::kList, problems_)) return;
  for (size_t i = 0; i < value->items.size(); ++i) {
    int64_t number = 0;
    if (AsInt(value->items[i], ItemPlace(PlaceOf(name), i, value->items[i]), 0, max, number,
              problems_))
      out.push_back(number);
  }
}

void Fields::TextMap(absl::string_view name, std::map<std::string, std::string>& out) {
  const YamlValue* value = Take(name);
  if (value == nullptr || !IsKind(*value, PlaceOf(name), YamlValue::Kind::kMap, problems_)) return;
  for (const YamlMember& member : value->members) {
    std::string text;
    if (AsText(member.value, KeyPlace(PlaceOf(name), member), text, problems_))
      out[member.name] = text;
  }
}

void Fields::AmountMap(absl::string_view name, std::map<std::string, Quantity>& out) {
  const YamlValue* value = Take(name);
  if (value == nullptr || !IsKind(*value, PlaceOf(name), YamlValue::Kind::kMap, problems_)) return;
  for (const YamlMember& member : value->members) {
    Quantity amount;
    if (AsAmount(member.value, KeyPlace(PlaceOf(name), member), amount, problems_))
      out[member.name] = amount;
  }
}

void Fields::IntOrText(absl::string_view name, std::string& out) {
  const YamlValue* value = Take(name);
  if (value != nullptr && IsKind(*value, PlaceOf(name), YamlValue::Kind::kScalar, problems_))
    out = value->text;
}

void Fields::Object(absl::string_view name, const std::function<void(Fields&)>& read) {
  const YamlValue* value = Take(name);
  if (value == nullptr || !IsKind(*value, PlaceOf(name), YamlValue::Kind::kMap, problems_)) return;
  Fields fields(*value, PlaceOf(name), problems_);
  read(fields);
}

void Fields::List(absl::string_view name, const std::function<void(Fields&)>& read) {
  const YamlValue* value = Take(name);
  if (value == nullptr || !IsKind(*value, PlaceOf(name), YamlValue::Kind::kList, problems_)) return;
  for (size_t i = 0; i < value->items.size(); ++i) {
    const YamlValue& item = value->items[i];
    Fields fields(item, ItemPlace(PlaceOf(name), i, item), problems_);
    read(fields);
  }
}

}  // namespace crisp::cli
