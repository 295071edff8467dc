// Records as JSON text: {"version": 1, ...}; CRI messages inside are the protobuf JSON mapping with
// proto field names.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/record.h"

namespace crisp::store {

std::string Encode(const SandboxRecord& record);
std::string Encode(const ContainerRecord& record);
std::string Encode(const ProfileRecord& record);
// kInvalidArgument for text that is not a record of this version.
absl::Status Decode(absl::string_view text, SandboxRecord& record);
absl::Status Decode(absl::string_view text, ContainerRecord& record);
absl::Status Decode(absl::string_view text, ProfileRecord& record);

}  // namespace crisp::store
