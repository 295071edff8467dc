#include "base/printable.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"

namespace crisp::base {

std::string Printable(absl::string_view text) {
  return absl::StrReplaceAll(absl::Utf8SafeCEscape(text), {{"\\\"", "\""}, {"\\'", "'"}});
}

}  // namespace crisp::base
