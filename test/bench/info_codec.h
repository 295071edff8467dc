// Reads the verbose info of PodSandboxStatus and ContainerStatus, of crisp and of containerd.
// Failures throw std::runtime_error.
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
  std::vector<Phase> phases;  // crisp's; others tell none
};

Info DecodeInfo(const std::string& text);

}  // namespace crisp::bench
