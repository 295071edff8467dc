// The sysctls of a pod: only keys the kernel keeps per network or ipc namespace.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// What the sandbox asks for and the defaults other runtimes have taught users to rely on
// (unprivileged ports and ping), keys in their dotted form. kInvalidArgument for any key that is
// not per namespace or whose namespace is the host's (CVE-2022-0532, CVE-2022-0811).
absl::StatusOr<std::map<std::string, std::string>> PodSysctls(
    const ::runtime::v1::PodSandboxConfig& config);

}  // namespace crisp::spec
