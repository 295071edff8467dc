// Texts of the files a pod's containers share. Pure.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// resolv.conf(5) from the configuration; `host_text` as it is when the sandbox has none (or an
// empty one).
std::string ResolvConf(const ::runtime::v1::PodSandboxConfig& config, absl::string_view host_text);
// The configured host name, or the node's for a pod without one (kubelet leaves it out for pods on
// the host's network).
std::string Hostname(const ::runtime::v1::PodSandboxConfig& config, absl::string_view node_name);

}  // namespace crisp::spec
