#include "shim/seccomp_gate.h"

#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <iterator>

#include "ipc/seccomp_file.h"
#include "linux/audit_architecture.h"

namespace crisp::shim {
namespace {

// The offset of the low half of an argument; both architectures are little-endian.
constexpr uint32_t Argument(unsigned index) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args) + index * sizeof(uint64_t));
}

constexpr sock_filter Load(uint32_t offset) { return {BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}; }
// Goes on when equal, or else skips `otherwise` instructions.
constexpr sock_filter Expect(uint32_t value, uint8_t otherwise) {
  return {BPF_JMP | BPF_JEQ | BPF_K, 0, otherwise, value};
}
constexpr sock_filter Jump(uint32_t skip) { return {BPF_JMP | BPF_JA, 0, 0, skip}; }

}  // namespace

bool AddSeccompGate(ProcessPlan& process) {
  if (process.seccomp.empty()) return true;
  uint64_t gate = 0;
  while (gate == 0) {
    if (getrandom(&gate, sizeof(gate), 0) != sizeof(gate)) return false;
  }
  const auto low = static_cast<uint32_t>(gate);
  const auto high = static_cast<uint32_t>(gate >> 32);
  // clang-format off
  const sock_filter rules[] = {
      /* 0 */ Load(offsetof(seccomp_data, arch)),
      /* 1 */ Expect(linux::kAuditArchitecture, 14),    // or 16
      /* 2 */ Load(offsetof(seccomp_data, nr)),
      /* 3 */ Expect(SYS_setsid, 1),        // or 5
      /* 4 */ Jump(6),                      // to 11
      /* 5 */ Expect(SYS_clone, 2),         // or 8
      /* 6 */ Load(Argument(0)),
      /* 7 */ {BPF_JMP | BPF_JEQ | BPF_K, 3, 8, static_cast<uint32_t>(kGatedClone)},  // 11 or 16
      /* 8 */ Expect(SYS_ioctl, 7),         // or 16
      /* 9 */ Load(Argument(1)),
      /* 10 */ Expect(TIOCSCTTY, 5),        // or 16
      /* 11 */ Load(Argument(5)),
      /* 12 */ Expect(low, 3),              // or 16
      /* 13 */ Load(Argument(5) + sizeof(uint32_t)),
      /* 14 */ Expect(high, 1),             // or 16
      /* 15 */ {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
      /* 16: the container's own filter */
  };
  // clang-format on
  static_assert(std::size(rules) + ipc::kMaxSeccompInstructions <= BPF_MAXINSNS);
  if (process.seccomp.size() + std::size(rules) > BPF_MAXINSNS) {
    errno = E2BIG;
    return false;
  }
  process.seccomp.insert(process.seccomp.begin(), std::begin(rules), std::end(rules));
  process.seccomp_gate = gate;
  return true;
}

}  // namespace crisp::shim
