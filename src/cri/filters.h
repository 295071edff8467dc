// CRI's list filters: every given field must match. Pure.
#pragma once

#include <google/protobuf/map.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace crisp::cri {

using Labels = google::protobuf::Map<std::string, std::string>;

inline bool LabelsMatch(const Labels& selector, const Labels& labels) {
  for (const auto& [key, value] : selector) {
    auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  return true;
}

// An empty filter matches everything; otherwise a prefix (crictl shows 13 characters of an id).
inline bool IdMatches(absl::string_view filter, absl::string_view id) {
  return absl::StartsWith(id, filter);
}

}  // namespace crisp::cri
