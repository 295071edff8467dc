// Device rules on cgroup v2, which has no devices controller: the kernel runs a BPF program
// attached to the group at every open and mknod of a device in the group and below. Private to
// src/cgroup.
//
// Source: bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE (Linux 4.15; JMP32 instructions need 5.1).
// Thread-safe: no state.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cgroup/resources.h"

namespace crisp::cgroup {

// For each requested access the last rule that matches the device and names the access decides. An
// access that no rule matches is allowed, as in a new v1 group. Pure.
std::vector<bpf_insn> CompileDeviceProgram(const std::vector<DeviceRule>& rules);

// Loads the program and attaches it to the group. Programs that are attached already (systemd's, an
// administrator's) stay: the kernel allows what all of them allow. It stays until the group is
// removed.
absl::Status AttachDeviceProgram(const std::string& v2_directory,
                                 const std::vector<bpf_insn>& program);

}  // namespace crisp::cgroup
