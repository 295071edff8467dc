// Seccomp profiles: which one a CRI security context means, and its compilation to BPF
// (seccomp(2)). Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// std::nullopt: unconfined. `profile` may be null (unconfined, as CRI has it); `deprecated_path` is
// the old string form
// ("", "unconfined", "runtime/default", "localhost/<path>"), used only without a profile. Localhost
// files are read here.
absl::StatusOr<std::optional<oci::Seccomp>> SelectSeccomp(
    const ::runtime::v1::SecurityProfile* profile, absl::string_view deprecated_path,
    const oci::Capabilities& capabilities);

// The profile's flags as seccomp(2) takes them, of ipc::kSeccompFlags. kInvalidArgument names one
// that is not supported.
absl::StatusOr<uint64_t> SeccompFlags(const oci::Seccomp& profile);

// What goes into a bundle's seccomp.bpf, see ipc/seccomp_file.h. A filter is compiled once per
// distinct profile and cached.
absl::StatusOr<std::string> CompileSeccomp(const oci::Seccomp& profile);

}  // namespace crisp::spec
