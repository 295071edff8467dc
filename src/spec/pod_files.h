// Texts and names of the files that all containers of a pod have. Pure, thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "runtime/v1/api.pb.h"

namespace crisp::spec {

// resolv.conf(5) from the configuration; `host_text` unchanged without a (or with an empty) DNS
// configuration.
std::string ResolvConf(const ::runtime::v1::PodSandboxConfig& config, absl::string_view host_text);
// The configured host name, or the node's for a pod without one (kubelet leaves it out for pods on
// the host's network).
std::string Hostname(const ::runtime::v1::PodSandboxConfig& config, absl::string_view node_name);

// Names in the directory of the files. Every container has a link of its own to the pod's hostname,
// <directory>/containers/<id>/hostname: what a container's /etc/hostname is mounted from stands in
// its mountinfo, where tracers look for its id.
inline constexpr char kHostnameFile[] = "hostname";
inline constexpr char kContainerLinks[] = "containers";
std::string ContainerHostname(absl::string_view directory, absl::string_view container_id);

}  // namespace crisp::spec
