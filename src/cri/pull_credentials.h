// AuthConfig as the registry client takes it. Pure, thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "image/credentials.h"
#include "runtime/v1/api.pb.h"

namespace crisp::cri {

// kInvalidArgument, without the text, when `auth` is not base64 of "user:password".
absl::StatusOr<image::Credentials> CredentialsOf(const ::runtime::v1::AuthConfig& auth);

}  // namespace crisp::cri
