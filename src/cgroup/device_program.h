// Device rules on cgroup v2, which has no devices controller: a BPF program attached to the group
// that the kernel asks at every open and mknod of a device, there and below. Private to src/cgroup.
//
// BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15, by bpf(2); JMP32 instructions need 5.1. Pure but for
// AttachDeviceProgram.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cgroup/resources.h"

namespace crisp::cgroup {

// What `rules` say: for each of the accesses asked for, the last rule that matches the device and
// names the access decides; what no rule matches is allowed, as in a new v1 group.
std::vector<bpf_insn> CompileDeviceProgram(const std::vector<DeviceRule>& rules);

// Loads the program and attaches it beside those of others (systemd's, an administrator's): all
// must allow. It stays until the group is removed.
absl::Status AttachDeviceProgram(const std::string& v2_directory,
                                 const std::vector<bpf_insn>& program);

}  // namespace crisp::cgroup
