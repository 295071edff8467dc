// What a plugin answers on standard output. All of it is arbitrary input: the caller bounds its
// size, these functions its shape. Pure.
// Source: CNI specification 1.1.0, section 5 (and 0.3.0 to 1.0.0, which differ in nothing used).
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
  std::string json;              // the whole answer with its cniVersion, fit for prevResult
};

// A plugin's success answer to ADD. `cni_version` is filled in where the plugin left it out.
absl::StatusOr<Result> ParseResult(absl::string_view text, absl::string_view cni_version);

struct PluginError {
  uint64_t code = 0;    // unsigned in the specification
  std::string message;  // "<msg>: <details>", printable and clipped
};
// CNI error codes that mean something to the caller.
inline constexpr uint64_t kUnknownContainer = 3;  // nothing to clean up
inline constexpr uint64_t kTryAgainLater = 11;
inline constexpr uint64_t kNotAvailable = 50;  // STATUS: cannot serve ADD
inline constexpr uint64_t kLimitedConnectivity = 51;

// The error object a plugin prints, on whatever exit code; nullopt when `text` is not one.
std::optional<PluginError> ParsePluginError(absl::string_view text);

// One printable line of at most 1 KiB.
std::string Printable(absl::string_view text);

}  // namespace crisp::cni
