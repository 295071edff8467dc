// Keeps damaged files to be looked at, so that they neither stop crispd nor pile up. Thread-safe:
// no shared state.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crisp::base {

// How many a quarantine keeps: enough for any bad day, and each is a few kilobytes.
inline constexpr size_t kMaxQuarantined = 100;

// Moves a file or directory of the same file system to `directory`, which is made if missing, as
// "<name>-<time>", and returns its new path.
absl::StatusOr<std::string> MoveToQuarantine(const std::string& from, const std::string& directory,
                                             absl::string_view name);
// Removes all but the kMaxQuarantined that were moved to `directory` last.
void LimitQuarantine(const std::string& directory);

}  // namespace crisp::base
