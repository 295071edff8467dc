#include "spec/fields.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clean_path.h"
#include "base/printable.h"
#include "base/status_macros.h"

namespace crisp::spec {
namespace {

constexpr char kNoControl[] = "must not contain control characters";

absl::StatusOr<std::string> Named(absl::string_view field, absl::string_view path,
                                  absl::StatusOr<std::string> clean) {
  if (!clean.ok()) return Invalid(field, path, clean.status().message());
  if (HasControl(path)) return Invalid(field, path, kNoControl);
  return clean;
}

}  // namespace

absl::Status Invalid(absl::string_view field, absl::string_view value, absl::string_view why) {
  constexpr size_t kShown = 200;
  return absl::InvalidArgumentError(absl::StrCat(field, " \"", base::Printable(value, kShown),
                                                 value.size() > kShown ? "..." : "", "\": ", why));
}

absl::Status Invalid(absl::string_view field, int64_t value, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, " ", value, ": ", why));
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
}

absl::Status CheckText(absl::string_view field, absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Invalid(field, text, absl::StrCat("must be at most ", max_bytes, " bytes long"));
  }
  if (HasControl(text)) return Invalid(field, text, kNoControl);
  return absl::OkStatus();
}

absl::StatusOr<std::string> CleanAbsolute(absl::string_view field, absl::string_view path) {
  if (path.empty() || path[0] != '/') return Invalid(field, path, "must be an absolute path");
  return Named(field, path, base::CleanPath(path));
}

absl::StatusOr<std::string> CleanRelative(absl::string_view field, absl::string_view path) {
  if (!path.empty() && path[0] == '/') return Invalid(field, path, "must be a relative path");
  return Named(field, path, base::CleanPath(path));
}

absl::StatusOr<std::string> CleanInside(absl::string_view field, absl::string_view path) {
  if (path.empty() || path[0] != '/') return Invalid(field, path, "must be an absolute path");
  return Named(field, path, base::CleanRootedPath(path));
}

absl::Status CheckName(absl::string_view field, absl::string_view name) {
  constexpr size_t kMaxName = 255;
  CRISP_RETURN_IF_ERROR(CheckText(field, name, kMaxName));
  if (name.empty()) return Invalid(field, name, "must not be empty");
  // A name becomes part of paths ("/", ".", "..") and of CNI arguments (";").
  if (name == "." || name == "..") return Invalid(field, name, "must not be \".\" or \"..\"");
  if (absl::StrContains(name, ' ')) return Invalid(field, name, "must not contain spaces");
  if (absl::StrContains(name, '/')) return Invalid(field, name, "must not contain \"/\"");
  if (absl::StrContains(name, ';')) return Invalid(field, name, "must not contain \";\"");
  return absl::OkStatus();
}

bool IsBelow(absl::string_view path, absl::string_view directory) {
  return absl::StartsWith(path, absl::StrCat(directory, "/"));
}

absl::Status GroupNeedsUser(int64_t group) {
  return absl::InvalidArgumentError(absl::StrCat("runAsGroup ", group, " needs runAsUser"));
}

absl::Status CheckId(absl::string_view field, int64_t id) {
  if (id >= 0 && id <= std::numeric_limits<int32_t>::max()) return absl::OkStatus();
  return Invalid(field, id, "must be between 0 and 2147483647");
}

}  // namespace crisp::spec
