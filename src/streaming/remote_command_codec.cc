#include "streaming/remote_command_codec.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"

namespace crisp::streaming {

std::string EncodeExit(int exit_code, bool as_json) {
  if (exit_code == 0) return as_json ? R"({"metadata":{},"status":"Success"})" : "";
  const std::string message =
      absl::StrCat("command terminated with non-zero exit code: exit status ", exit_code);
  if (!as_json) return message;
  const base::Json cause = {{"reason", "ExitCode"}, {"message", absl::StrCat(exit_code)}};
  return base::DumpJson({{"metadata", base::Json::object()},
                         {"status", "Failure"},
                         {"reason", "NonZeroExitCode"},
                         {"message", message},
                         {"details", {{"causes", base::Json::array({cause})}}}});
}

std::string EncodeFailure(absl::string_view message, bool as_json) {
  const std::string text(message);
  const std::string full = absl::StrCat("Internal error occurred: ", text);
  if (!as_json) return full;
  return base::DumpJson(
      {{"metadata", base::Json::object()},
       {"status", "Failure"},
       {"reason", "InternalError"},
       {"message", full},
       {"details", {{"causes", base::Json::array({base::Json{{"message", text}}})}}},
       {"code", 500}});
}

absl::StatusOr<TerminalSize> DecodeTerminalSize(absl::string_view text) {
  if (text.size() > kMaxResizeBytes)
    return absl::InvalidArgumentError("terminal size: too many bytes");
  absl::StatusOr<TerminalSize> size =
      base::DecodeJson("terminal size", text, [](const base::Json& json) {
        TerminalSize decoded;
        for (const auto& [name, value] : json.items()) {
          if (absl::EqualsIgnoreCase(name, "width")) value.get_to(decoded.columns);
          if (absl::EqualsIgnoreCase(name, "height")) value.get_to(decoded.rows);
        }
        return decoded;
      });
  if (!size.ok()) return size;
  if (size->columns == 0 || size->rows == 0)
    return absl::InvalidArgumentError("terminal size: must not be 0");
  return size;
}

}  // namespace crisp::streaming
