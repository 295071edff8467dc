// Checks of names and paths that several parts of a manifest have in common.
#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "base/printable.h"
#include "cli/manifest/decode.h"

namespace crisp::cli {
namespace {

constexpr size_t kMaxLabel = 63, kMaxSubdomain = 253, kNameBytes = 80;

bool IsDnsLabel(absl::string_view text, size_t max) {
  if (text.empty() || text.size() > max || text.front() == '-' || text.back() == '-') return false;
  for (const char c : text) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-') return false;
  }
  return true;
}

bool IsDnsSubdomain(absl::string_view text) {
  if (text.size() > kMaxSubdomain) return false;
  for (const absl::string_view label : absl::StrSplit(text, '.')) {
    if (!IsDnsLabel(label, kMaxSubdomain)) return false;
  }
  return true;
}

bool Check(Fields& fields, absl::string_view name, const std::string& value, bool is_good,
           absl::string_view expected) {
  if (!is_good)
    fields.Add(name, absl::StrCat("\"", base::Printable(value, kNameBytes), "\" ", expected));
  return is_good;
}

}  // namespace

bool CheckDnsLabel(Fields& fields, absl::string_view name, const std::string& value) {
  return Check(fields, name, value, IsDnsLabel(value, kMaxLabel),
               "must be 1 to 63 lower-case letters, digits and '-', not first or last");
}

bool CheckDnsSubdomain(Fields& fields, absl::string_view name, const std::string& value) {
  return Check(fields, name, value, IsDnsSubdomain(value),
               "must be lower-case letters, digits, '-' and '.', at most 253, as in a DNS name");
}

bool CheckRelativePath(Fields& fields, absl::string_view name, const std::string& value) {
  bool is_good = !value.empty() && value[0] != '/';
  for (const absl::string_view part : absl::StrSplit(value, '/')) is_good = is_good && part != "..";
  return Check(fields, name, value, is_good, "must be a relative path without \"..\"");
}

bool CheckFilePath(Fields& fields, absl::string_view name, const std::string& value) {
  return CheckRelativePath(fields, name, value) &&
         Check(fields, name, value, value.substr(0, 2) != "..",
               "must not begin with \"..\": such names are the volume's own");
}

}  // namespace crisp::cli
