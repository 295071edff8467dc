// The input of a plugin: CNI_ARGS, capability arguments and the execution configuration that
// contains them. Pure, thread-safe.
// Source: CNI specification 1.1.0, section 3; the CNI project's CONVENTIONS.md; the annotations as
// containerd and CRI-O give them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cni/conf.h"
#include "cni/network.h"

namespace crisp::cni {

using CniArgs = std::vector<std::pair<std::string, std::string>>;

struct Attachment {
  std::string network;
  std::string container_id;
  std::string interface;
};

// IgnoreUnknown and the K8S_POD_* arguments. kInvalidArgument for a value with ';', '=' or control
// characters, which a plugin would read as more than one argument, and for a sandbox id that is not
// a CNI container id.
absl::StatusOr<CniArgs> PodArgs(const PodNetworkRequest& request);
// "NAME=value;NAME=value".
std::string FormatArgs(const CniArgs& args);

// Bits per second from a Kubernetes quantity ("10M", "1.5Gi", "2e6"), rounded up; 1k to 1P.
absl::StatusOr<uint64_t> ParseBandwidth(absl::string_view quantity);

// The JSON object {capability: argument} for all that the pod requests and a plugin of the network
// declares: portMappings, bandwidth, dns, cgroupPath, io.kubernetes.cri.pod-annotations.
absl::StatusOr<std::string> CapabilityArgs(const PodNetworkRequest& request,
                                           const NetworkConf& network);

// The plugin's standard input: its configuration with name, cniVersion, the capability arguments it
// declared and, when not empty, the previous result.
absl::StatusOr<std::string> ExecConf(const NetworkConf& network, const PluginConf& plugin,
                                     absl::string_view capability_args,
                                     absl::string_view prev_result);

// The plugin's standard input for GC: what it keeps for any other attachment is to be freed.
absl::StatusOr<std::string> GcConf(const NetworkConf& network, const PluginConf& plugin,
                                   const std::vector<Attachment>& valid);

}  // namespace crisp::cni
