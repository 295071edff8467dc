#include "cli/manifest/yaml_document.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace crisp::cli {
namespace {

// An alias stands for what it names, so that a short text can describe an endless document.
constexpr int kMaxValues = 100'000;
constexpr int kMaxDepth = 64;

class Converter {
 public:
  // Throws YAML::Exception.
  YamlValue Convert(const YAML::Node& node, int depth = 0) {
    if (++values_ > kMaxValues || depth > kMaxDepth) {
      throw YAML::Exception(
          node.Mark(), absl::StrCat("more than ", kMaxValues, " values or ", kMaxDepth, " levels"));
    }
    YamlValue value;
    value.line = node.Mark().line + 1;
    if (node.IsScalar()) return Scalar(node, std::move(value));
    if (node.IsSequence()) {
      value.kind = YamlValue::Kind::kList;
      for (const YAML::Node& item : node) value.items.push_back(Convert(item, depth + 1));
    } else if (node.IsMap()) {
      value.kind = YamlValue::Kind::kMap;
      std::set<std::string> names;
      for (const auto& member : node) {
        AddMember(member.first, member.second, depth, value);
        if (!names.insert(value.members.back().name).second) {
          throw YAML::Exception(member.first.Mark(),
                                absl::StrCat(value.members.back().name, " is given twice"));
        }
      }
    }
    return value;
  }

 private:
  static YamlValue Scalar(const YAML::Node& node, YamlValue value) {
    const std::string& tag = node.Tag();
    value.kind = YamlValue::Kind::kScalar;
    value.text = node.Scalar();
    value.is_quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!value.is_quoted && tag != "?" && !tag.empty())
      throw YAML::Exception(node.Mark(), absl::StrCat("tag ", tag, " is not supported"));
    if (!value.is_quoted && TypeOfPlain(value.text) == PlainType::kNull)
      value.kind = YamlValue::Kind::kNull;
    return value;
  }

  void AddMember(const YAML::Node& name, const YAML::Node& node, int depth, YamlValue& map) {
    if (!name.IsScalar()) throw YAML::Exception(name.Mark(), "a name must be text");
    const std::string& text = name.Scalar();
    if (text == "<<") throw YAML::Exception(name.Mark(), "merge keys are not supported");
    map.members.push_back(
        {.name = text, .line = name.Mark().line + 1, .value = Convert(node, depth + 1)});
  }

  int values_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<YamlValue>> ParseYaml(const std::string& text) {
  try {
    std::vector<YamlValue> documents;
    Converter converter;
    for (const YAML::Node& node : YAML::LoadAll(text)) {
      YamlValue document = converter.Convert(node);
      if (document.kind != YamlValue::Kind::kNull) documents.push_back(std::move(document));
    }
    return documents;
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.mark.line + 1, ": ", error.msg));
  }
}

void AppendDocuments(absl::string_view text, std::string& all) {
  absl::ConsumePrefix(&text, "\xef\xbb\xbf");
  while (!text.empty() && absl::string_view("%#\r\n").find(text[0]) != text.npos)
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  absl::StrAppend(&all, "---\n", text);
  // One more line break would belong to a text that keeps them all ("|+").
  if (!absl::EndsWith(text, "\n")) all += '\n';
}

PlainType TypeOfPlain(absl::string_view text) {
  static const std::set<std::string> bools = {"y", "yes", "n", "no", "on", "off", "true", "false"};
  if (text.empty() || text == "~" || absl::AsciiStrToLower(text) == "null") return PlainType::kNull;
  if (text.size() <= 5 && bools.count(absl::AsciiStrToLower(text)) > 0) return PlainType::kBool;
  // "Infinity" and "nan" are text in YAML, but numbers to strtod.
  if (!absl::ascii_isdigit(text[0]) && absl::string_view("+-.").find(text[0]) == text.npos)
    return PlainType::kText;
  double number = 0;
  int64_t whole = 0;
  const bool is_hex = absl::StartsWith(text, "0x") && absl::SimpleHexAtoi(text, &whole);
  if (is_hex || absl::SimpleAtod(text, &number) || absl::StartsWith(text, "0o"))
    return PlainType::kNumber;
  return PlainType::kText;
}

}  // namespace crisp::cli
