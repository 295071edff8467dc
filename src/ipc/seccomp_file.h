// What a bundle's seccomp.bpf holds; crispd writes it, the shim reads it: one SeccompHead, then the
// filter as the kernel takes it, an array of struct sock_filter.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>

namespace crisp::ipc {

struct SeccompHead {
  uint64_t flags = 0;  // for seccomp(2), some of kSeccompFlags
};

// Those a profile may ask for; they change what is logged and how fast the program runs, not what
// happens to a system call.
inline constexpr uint64_t kSeccompFlags = SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;

}  // namespace crisp::ipc
