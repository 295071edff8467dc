// Seccomp profiles: which one a CRI security context selects, and its compilation to BPF
// (seccomp(2)). Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "oci/runtime_spec.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// std::nullopt: unconfined. `profile` may be null; then `deprecated_path` counts, the field of
// older clients: "" or "unconfined", "runtime/default", "localhost/<path>". Of one that is an
// artifact (OCI) it is the base profile. Reads the file of a Localhost profile.
absl::StatusOr<std::optional<oci::Seccomp>> SelectSeccomp(
    const ::runtime::v1::SecurityProfile* profile, absl::string_view deprecated_path,
    const oci::Capabilities& capabilities);

// What counts together with that when `profile` is an artifact; std::nullopt otherwise. `document`
// is that of the artifact, if it was pulled: else kFailedPrecondition.
absl::StatusOr<std::optional<oci::Seccomp>> ArtifactSeccomp(
    const ::runtime::v1::SecurityProfile& profile, const std::optional<std::string>& document,
    const oci::Capabilities& capabilities);

// kInvalidArgument unless the document of an artifact can be used, whatever container asks for it.
absl::Status CheckSeccompArtifact(absl::string_view document);

// The profile's flags for seccomp(2), a subset of ipc::kSeccompFlags. kInvalidArgument names a flag
// that is not supported.
absl::StatusOr<uint64_t> SeccompFlags(const oci::Seccomp& profile);

// The content of a bundle's seccomp.bpf, see ipc/seccomp_file.h: what `profile` and, if there is
// one, `artifact` both permit. Distinct profiles are compiled once and cached.
absl::StatusOr<std::string> CompileSeccomp(
    const oci::Seccomp& profile, const std::optional<oci::Seccomp>& artifact = std::nullopt);

}  // namespace crisp::spec
