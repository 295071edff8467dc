// The architecture as a seccomp filter sees it (struct seccomp_data, seccomp(2)).
#pragma once

#include <linux/audit.h>

#include <cstdint>

namespace crisp::linux {

#if defined(__x86_64__)
inline constexpr uint32_t kAuditArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
inline constexpr uint32_t kAuditArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "add this architecture"
#endif

}  // namespace crisp::linux
