// The format of a bundle's seccomp.bpf, which crispd writes and the shim reads: a SeccompHead, then
// the filter as the kernel takes it, an array of struct sock_filter (seccomp(2)).
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>

namespace crisp::ipc {

struct SeccompHead {
  uint64_t flags = 0;  // for seccomp(2), a subset of kSeccompFlags
};

// Instructions of a filter: what the kernel takes, less what the shim puts before it, above all for
// execs (shim/seccomp_gate.h). Of a longer one a container would start, and no exec in it.
inline constexpr size_t kMaxSeccompInstructions = BPF_MAXINSNS - 16;

// Flags a profile may ask for. They change what is logged and how fast the program runs, but not
// what a system call does.
inline constexpr uint64_t kSeccompFlags = SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;

}  // namespace crisp::ipc
