// Limits of one group, as in CRI's LinuxContainerResources and the OCI runtime spec's
// linux.resources. Absent, zero and empty mean "unchanged": a new group keeps the kernel's default,
// an update keeps the present value. In hugepage limits 0 is a limit. -1 means "no limit" where the
// field is signed. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace crisp::cgroup {

struct HugepageLimit {
  std::string page_size;  // as the kernel writes it: "2MB", "1GB", "64KB"
  uint64_t limit_bytes = 0;
};

// One line of a device list; the last rule that matches decides.
struct DeviceRule {
  bool allow = false;
  char type = 'a';                // 'a' all devices, 'b' block, 'c' character
  std::optional<uint32_t> major;  // absent: any
  std::optional<uint32_t> minor;
  std::string access = "rwm";  // some of r, w, m (mknod)
};

struct Resources {
  std::optional<uint64_t> cpu_shares;      // v1 scale, 2..262144; v2: cpu.weight by CpuWeight()
  std::optional<int64_t> cpu_quota_us;     // per period
  std::optional<uint64_t> cpu_period_us;   // alone: keeps the quota
  std::optional<std::string> cpuset_cpus;  // "0-3,7"
  std::optional<std::string> cpuset_mems;
  std::optional<int64_t> memory_limit_bytes;
  // Memory and swap in total; absent: the amount of swap stays as it is.
  std::optional<int64_t> memory_swap_limit_bytes;
  std::optional<int64_t> pids_limit;
  std::vector<HugepageLimit> hugepage_limits;  // 0 for a size the host cannot limit is fine
  // Values of cgroup v2 files, which override the fields above. InvalidArgument on hybrid hosts.
  std::map<std::string, std::string> unified;
  // For Create only, in order. Set through v1's devices controller, or by a BPF program without it.
  std::vector<DeviceRule> devices;
};

// cpu.weight (1..10000) for v1 cpu shares by the quadratic conversion that runc
// (opencontainers/cgroups), crun and kubelet use since 2025: 1024 -> 100. The older linear one
// would give other ratios than the pod's own group has.
uint64_t CpuWeight(uint64_t shares);

}  // namespace crisp::cgroup
