// What crisp play keeps of a pod below its state directory, as JSON. Plain values; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/pod_supervisor.h"

namespace crisp::cli {

// pod.json: what was decided when the pod was made. Written once, by the command.
struct PodRecord {
  std::string namespace_;
  std::string name;
  std::string uid;
  std::optional<uint32_t> users;  // hostUsers false: the first of its 65536 ids
};
std::string EncodePodRecord(const PodRecord& record);
absl::StatusOr<PodRecord> DecodePodRecord(absl::string_view text);

// status.json: how the pod is. Written by its supervisor.
std::string EncodePodReport(const PodReport& report);
// Without `wake`.
absl::StatusOr<PodReport> DecodePodReport(absl::string_view text);

}  // namespace crisp::cli
