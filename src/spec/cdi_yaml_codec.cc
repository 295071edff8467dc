// CDI specifications in YAML, which vendors' tools write by default: turned into JSON, so that both
// forms are checked by one codec.
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstdlib>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "spec/cdi.h"

namespace crisp::spec {
namespace {

using base::Json;

// An alias stands for what it names, so that a short text can describe an endless document.
constexpr int kMaxNodes = 100'000;
constexpr int kMaxDepth = 32;

// As Go's decoder (sigs.k8s.io/yaml) does, the type that a field has decides what an unquoted 0 is:
// a device may be named so.
const std::set<std::string>& NumberFields() {
  static const std::set<std::string> fields = {"major", "minor", "fileMode",       "uid",
                                               "gid",   "gids",  "additionalGids", "timeout"};
  return fields;
}

// Decimal, octal (0660, 0o660) or hexadecimal. Other text stays text, which the codec refuses.
Json Number(const std::string& text) {
  const bool is_octal = text.size() > 2 && text[0] == '0' && (text[1] == 'o' || text[1] == 'O');
  const std::string digits = is_octal ? absl::StrCat("0", text.substr(2)) : text;
  char* end = nullptr;
  errno = 0;
  const int64_t value = std::strtoll(digits.c_str(), &end, 0);
  if (digits.empty() || errno != 0 || *end != '\0') return text;
  return value;
}

Json Scalar(const YAML::Node& node, bool is_number) {
  const std::string& text = node.Scalar();
  const bool is_plain = node.Tag() != "!";  // that is the tag of a quoted one
  if (is_plain && (text.empty() || text == "~" || absl::AsciiStrToLower(text) == "null"))
    return nullptr;
  return is_plain && is_number ? Number(text) : Json(text);
}

class Converter {
 public:
  // Throws YAML::Exception.
  Json Convert(const YAML::Node& node, bool is_number = false, int depth = 0) {
    if (++nodes_ > kMaxNodes || depth > kMaxDepth)
      throw YAML::Exception(
          node.Mark(), absl::StrCat("more than ", kMaxNodes, " values or ", kMaxDepth, " levels"));
    if (node.IsScalar()) return Scalar(node, is_number);
    if (node.IsSequence()) {
      Json array = Json::array();
      for (const YAML::Node& item : node) array.push_back(Convert(item, is_number, depth + 1));
      return array;
    }
    if (!node.IsMap()) return nullptr;
    Json object = Json::object();
    for (const auto& member : node) {
      const std::string& key = member.first.Scalar();
      if (key == "<<") throw YAML::Exception(member.first.Mark(), "merge keys are not supported");
      if (object.contains(key))
        throw YAML::Exception(member.first.Mark(), absl::StrCat("key \"", key, "\" twice"));
      object[key] = Convert(member.second, NumberFields().count(key) > 0, depth + 1);
    }
    return object;
  }

 private:
  int nodes_ = 0;
};

}  // namespace

absl::StatusOr<CdiSpec> DecodeCdiYaml(const std::string& text) {
  std::string json;
  try {
    json = Converter().Convert(YAML::Load(text)).dump();
  } catch (const std::exception& error) {  // YAML's, or JSON's for text that is not UTF-8
    return absl::InvalidArgumentError(absl::StrCat("CDI specification: ", error.what()));
  }
  return DecodeCdiSpec(json);
}

}  // namespace crisp::spec
