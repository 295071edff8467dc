// Reads the verbose info of PodSandboxStatus and ContainerStatus, and makes a runc bundle's
// config.json from it. Failures throw std::runtime_error.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace crisp::bench {

// A measured part of a start. "a: b" is a part of another phase, which has its own entry.
struct Phase {
  std::string name;
  int64_t ns = 0;
};

struct Info {
  pid_t pid = 0;
  std::vector<Phase> phases;
  std::string spec;  // the runtime spec crisp executes, as JSON
};

Info DecodeInfo(const std::string& text);

struct RuncOptions {
  std::string rootfs;  // absolute
  std::string cgroup;  // absolute path below each hierarchy
  bool own_network = false;
};

// `spec` with `true` as its command and new namespaces instead of a pod's. Mounts, capabilities,
// limits, masked paths and seccomp stay the same.
std::string RuncSpec(const std::string& spec, const RuncOptions& options);

}  // namespace crisp::bench
