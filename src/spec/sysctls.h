// The sysctls of a pod: only keys that the kernel has per network or ipc namespace. Pure,
// thread-safe.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// The configured sysctls and the defaults that containerd sets too (unprivileged ports and ping),
// with keys in their dotted form. kInvalidArgument for a key that is not per namespace or whose
// namespace is the host's (CVE-2022-0532, CVE-2022-0811).
absl::StatusOr<std::map<std::string, std::string>> PodSysctls(
    const ::runtime::v1::PodSandboxConfig& config);

}  // namespace crisp::spec
