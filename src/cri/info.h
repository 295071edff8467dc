// Verbose info: JSON texts for crictl inspect, inspectp, inspecti and info.
#pragma once

#include <optional>
#include <string>

#include "cni/network.h"
#include "config/config.h"
#include "container/container.h"
#include "image/image_store.h"
#include "sandbox/sandbox.h"
#include "store/record.h"

namespace crisp::cri {

// {"pid", "config", "runtimeSpec", "phases": [{"name", "durationNs"}], ...}; the runtime spec is
// the bundle's file. The names and forms are containerd's and CRI-O's ("privileged") where they
// have the same: node agents read pid, sandboxID, privileged, config.envs, and of the runtime spec
// linux.cgroupsPath, linux.namespaces and process.apparmorProfile (test/unit/agents). `pid` is 0
// when the process has ended, as another one may have it.
std::string SandboxInfo(const sandbox::Sandbox& sandbox, const std::string& bundle);
std::string ContainerInfo(const container::Container& container, const std::string& bundle);
// {"imageSpec": <the image's config document>, "chainIDs": [...]}
std::string ImageInfo(const image::Image& image);
// The effective configuration; "stateDir" is what critest looks for.
std::string ConfigInfo(const config::Config& config);
std::string NetworkInfo(const cni::NetworkState& state);

}  // namespace crisp::cri
