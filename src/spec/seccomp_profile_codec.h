// Seccomp profiles as JSON files on the node, in the OCI form (runtime-spec config-linux.md,
// linux.seccomp) and in Docker's, which adds archMap, includes and excludes. The files come from
// the node's administrator; they are checked all the same. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/runtime_spec.h"

namespace crisp::spec {

// The host that includes and excludes are compared with.
struct SeccompHost {
  std::string architecture;  // as GOARCH: "amd64"
  std::string native;        // "SCMP_ARCH_X86_64"
  int kernel_major = 0;
  int kernel_minor = 0;
};
SeccompHost ThisSeccompHost();

// Leaves out rules that do not apply to this host or these capabilities. kInvalidArgument names the
// member that is wrong. SCMP_ACT_NOTIFY is refused: crisp has no listener for it.
absl::StatusOr<oci::Seccomp> DecodeSeccompProfile(absl::string_view text,
                                                  const oci::Capabilities& capabilities,
                                                  const SeccompHost& host);

}  // namespace crisp::spec
