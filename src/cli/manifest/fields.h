// Reads an object of a manifest field by field, strictly: what nobody asked for is refused when the
// reader ends, so that no field is ever ignored. Errors are collected, to show all of them at once.
// Used by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cli/manifest/quantity.h"
#include "cli/manifest/yaml_document.h"

namespace crisp::cli {

// Where something was written, for errors that are found later.
struct Place {
  std::string file;
  int line = 0;
  std::string path;  // spec.containers[0].image
};

class Problems {
 public:
  void Add(const Place& place, absl::string_view text);
  bool empty() const { return lines_.empty(); }
  // "<file>:<line>: <path>: <text>" each, in the order of files and lines.
  std::vector<std::string> Lines() const;

 private:
  std::vector<std::pair<std::pair<std::string, int>, std::string>> lines_;
};

class Fields {
 public:
  // Of a value that should be a map; all must outlive the reader.
  Fields(const YamlValue& value, Place place, Problems& problems);
  // Refuses what was not read.
  ~Fields();
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  // Whether the field is there and not null. Does not read it.
  bool Has(absl::string_view name) const;
  // An empty name means the object itself.
  Place PlaceOf(absl::string_view name) const;
  void Add(absl::string_view name, absl::string_view text) { problems_.Add(PlaceOf(name), text); }
  void AddAt(const Place& place, absl::string_view text) { problems_.Add(place, text); }
  // Takes the rest of the object as read, when another error has made it meaningless.
  void Skip();
  // Adds "is missing" and returns false when it is, or when it is an empty text.
  bool Require(absl::string_view name);

  // Each leaves `out` as it is when the field is missing or null.
  void Text(absl::string_view name, std::string& out);
  void Text(absl::string_view name, std::optional<std::string>& out) {
    Optional(name, out, &Fields::Text);
  }
  void Bool(absl::string_view name, bool& out);
  void Bool(absl::string_view name, std::optional<bool>& out) {
    Optional(name, out, &Fields::Bool);
  }
  void Int(absl::string_view name, int64_t& out, int64_t min = 0, int64_t max = INT32_MAX);
  void Int(absl::string_view name, std::optional<int64_t>& out, int64_t min = 0,
           int64_t max = INT32_MAX);
  void Amount(absl::string_view name, Quantity& out);
  void Texts(absl::string_view name, std::vector<std::string>& out);
  void Ints(absl::string_view name, std::vector<int64_t>& out, int64_t max);
  void TextMap(absl::string_view name, std::map<std::string, std::string>& out);
  void AmountMap(absl::string_view name, std::map<std::string, Quantity>& out);
  // A number or a name, as ports of probes are.
  void IntOrText(absl::string_view name, std::string& out);

  // One of `words`; the error lists them.
  template <typename E>
  void Choice(absl::string_view name, E& out,
              std::initializer_list<std::pair<absl::string_view, E>> words) {
    std::string text, all;
    if (!Has(name)) return Known(name);
    Text(name, text);
    for (const auto& [word, value] : words) {
      if (text == word) {
        out = value;
        return;
      }
      absl::StrAppend(&all, all.empty() ? "" : ", ", word);
    }
    Add(name, absl::StrCat("must be one of ", all));
  }

  void Object(absl::string_view name, const std::function<void(Fields&)>& read);
  void List(absl::string_view name, const std::function<void(Fields&)>& read);

 private:
  // Marks the field as read; null when it is missing or null.
  const YamlValue* Take(absl::string_view name);
  void Known(absl::string_view name) { known_.emplace(name); }
  const YamlMember* Find(absl::string_view name) const;
  template <typename T>
  void Optional(absl::string_view name, std::optional<T>& out,
                void (Fields::*read)(absl::string_view, T&)) {
    T value{};
    (this->*read)(name, value);
    if (Has(name)) out = std::move(value);
  }

  const YamlValue& value_;
  const Place place_;
  Problems& problems_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace crisp::cli
