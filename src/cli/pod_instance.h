// What the messages of a pod depend on besides its manifest: the machine and this run of the pod.
// Plain values, so that messages are made without a kernel.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/manifest/manifest.h"

namespace crisp::cli {

// The machine, as it was when the pod was started.
struct Node {
  std::string name;
  std::vector<std::string> ips;
  bool has_cgroup2 = false;  // the unified hierarchy has the memory controller
  bool has_swap_accounting = false;
  bool has_systemd_cgroups = false;      // the runtime's cgroup driver
  bool has_recursive_read_only = false;  // the runtime can make mounts recursively read-only
  int64_t cpus = 1;
  int64_t memory_bytes = 1;
  int64_t storage_bytes = 0;
  std::vector<std::string> huge_page_sizes;   // as CRI names them: 2MB, 1GB
  std::vector<std::string> thermal_throttle;  // directories that containers must not read
  std::string resolv_conf;                    // text of /etc/resolv.conf
  std::string hosts;                          // text of /etc/hosts
};

// One run of a pod.
struct PodInstance {
  std::string uid;
  uint32_t attempt = 0;   // of the sandbox
  std::string directory;  // of the pod's files, in memory: volumes, state
  std::string logs = "/var/log/pods";
  std::string disk_directory;     // of its volumes that are on disk, and what else it can write
  std::optional<uint32_t> users;  // with hostUsers false: the first of 65536 ids of the host
  std::vector<std::string> ips;   // once the sandbox runs
};

// In the name of a pod's directory while its files are deleted, before the uid.
inline constexpr char kGonePrefix[] = ".gone-";

inline constexpr char kLabelPod[] = "io.kubernetes.pod.name";
inline constexpr char kLabelNamespace[] = "io.kubernetes.pod.namespace";
inline constexpr char kLabelUid[] = "io.kubernetes.pod.uid";
inline constexpr char kLabelContainer[] = "io.kubernetes.container.name";

}  // namespace crisp::cli
