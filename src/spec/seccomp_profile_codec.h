// Seccomp profiles as JSON files on the node, in the OCI form (runtime-spec config-linux.md,
// linux.seccomp) and in Docker's, which adds archMap, includes and excludes. The file's author is
// the node's administrator, but the reader trusts nothing.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oci/runtime_spec.h"

namespace crisp::spec {

// What includes and excludes are compared with.
struct SeccompHost {
  std::string architecture;  // as GOARCH: "amd64"
  std::string native;        // "SCMP_ARCH_X86_64"
  int kernel_major = 0;
  int kernel_minor = 0;
};
SeccompHost ThisSeccompHost();

// Rules that are not for this host or these capabilities are left out. kInvalidArgument names what
// is wrong; SCMP_ACT_NOTIFY is refused, as nobody would answer.
absl::StatusOr<oci::Seccomp> DecodeSeccompProfile(absl::string_view text,
                                                  const oci::Capabilities& capabilities,
                                                  const SeccompHost& host);

}  // namespace crisp::spec
