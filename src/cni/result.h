// A plugin's answer on standard output. Plugins are not trusted: the caller bounds the size of the
// text, these functions check its form. Pure, thread-safe.
// Source: CNI specification 1.1.0, section 5; 0.4.0 and 0.2.0, sections "Result".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::cni {

struct Result {
  std::vector<std::string> ips;  // of the pod's interface, no prefix length, in the plugin's order
  std::vector<std::string> cidrs;  // the same as in the answer: "10.1.2.3/24"
  std::string json;                // the whole answer in the version of the network, for prevResult
};

// A plugin's success answer to ADD, in any version of the specification; an answer without a
// version has that of the network, `cni_version`. The next plugin reads prevResult in the version
// of its configuration, so an answer in another version is converted to it. Versions below 0.3.0
// have room for one address of each family. kInvalidArgument names what is wrong.
absl::StatusOr<Result> ParseResult(absl::string_view text, absl::string_view cni_version);

struct PluginError {
  uint64_t code = 0;    // unsigned in the specification
  std::string message;  // "<msg>: <details>", printable and cut to 1 KiB each
};
// CNI error codes that the caller handles. With these a plugin refuses what it was given, not what
// it found: with the same input it will never succeed.
inline constexpr uint64_t kIncompatibleVersion = 1;
inline constexpr uint64_t kUnsupportedField = 2;
inline constexpr uint64_t kInvalidEnvironment = 4;
inline constexpr uint64_t kUndecodable = 6;
inline constexpr uint64_t kInvalidConfig = 7;
// And these:
inline constexpr uint64_t kUnknownContainer = 3;  // nothing to clean up
inline constexpr uint64_t kTryAgainLater = 11;
inline constexpr uint64_t kNotAvailable = 50;  // STATUS: cannot serve ADD
inline constexpr uint64_t kLimitedConnectivity = 51;

// The error object that a plugin prints, with any exit code; nullopt when `text` is not one.
std::optional<PluginError> ParsePluginError(absl::string_view text);

// One printable line of at most 1 KiB.
std::string Printable(absl::string_view text);

}  // namespace crisp::cni
