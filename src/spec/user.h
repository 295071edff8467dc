// The user and groups of a container's process. Pure, thread-safe: the caller reads /etc/passwd and
// /etc/group of the rootfs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

struct ResolvedUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> additional_gids;  // includes the primary one
  std::string home;                       // from passwd; empty when it has none
};

// Texts larger than this are not read (CVE-2025-4437).
inline constexpr size_t kMaxUserFileBytes = 10 << 20;

// run_as_user, else run_as_username, else the image's "user[:group]", else root. kInvalidArgument
// for a name that is not in the file and for a number above 2^31-1. A number is never looked up as
// a name.
absl::StatusOr<ResolvedUser> ResolveUser(
    const ::runtime::v1::LinuxContainerSecurityContext& context, absl::string_view image_user,
    absl::string_view passwd, absl::string_view group);

}  // namespace crisp::spec
