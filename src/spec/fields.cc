#include "spec/fields.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/clean_path.h"
#include "base/status_macros.h"

namespace crisp::spec {
namespace {

absl::StatusOr<std::string> Clean(absl::string_view field, absl::string_view path) {
  absl::StatusOr<std::string> clean = base::CleanPath(path);
  if (!clean.ok()) return Invalid(field, path, clean.status().message());
  if (HasControl(path)) return Invalid(field, path, "holds a control character");
  return clean;
}

}  // namespace

absl::Status Invalid(absl::string_view field, absl::string_view value, absl::string_view why) {
  constexpr size_t kShown = 200;
  return absl::InvalidArgumentError(absl::StrCat(field, " \"",
                                                 absl::Utf8SafeCEscape(value.substr(0, kShown)),
                                                 value.size() > kShown ? "..." : "", "\" ", why));
}

absl::Status Invalid(absl::string_view field, int64_t value, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, " ", value, " ", why));
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
}

absl::Status CheckText(absl::string_view field, absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Invalid(field, text, absl::StrCat("is longer than ", max_bytes, " bytes"));
  }
  if (HasControl(text)) return Invalid(field, text, "holds a control character");
  return absl::OkStatus();
}

absl::StatusOr<std::string> CleanAbsolute(absl::string_view field, absl::string_view path) {
  if (path.empty() || path[0] != '/') return Invalid(field, path, "is not an absolute path");
  return Clean(field, path);
}

absl::StatusOr<std::string> CleanRelative(absl::string_view field, absl::string_view path) {
  if (!path.empty() && path[0] == '/') return Invalid(field, path, "is not a relative path");
  return Clean(field, path);
}

absl::Status CheckName(absl::string_view field, absl::string_view name) {
  constexpr size_t kMaxName = 255;
  CRISP_RETURN_IF_ERROR(CheckText(field, name, kMaxName));
  // "/" for whoever makes a path of it, ";" separates CNI arguments.
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of("/; ") != absl::string_view::npos) {
    return Invalid(field, name, "is no name");
  }
  return absl::OkStatus();
}

absl::Status CheckId(absl::string_view field, int64_t id) {
  if (id >= 0 && id <= std::numeric_limits<int32_t>::max()) return absl::OkStatus();
  return Invalid(field, id, "is not within 0 and 2147483647");
}

}  // namespace crisp::spec
