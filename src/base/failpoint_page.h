// The file that a test shares with the programs it starts: which points they have passed, and at
// which one a program is to stand still. A program maps it at its first point; children that it
// forks share the mapping, whatever they close or unmount. What stands still waits on a futex(2),
// because SIGSTOP does not stop the init of a PID namespace from inside: so only the one thread
// stands, and the others go on.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace crisp::base {

inline constexpr char kFailpointFile[] = "CRISP_FAILPOINT_FILE";

// All zero: no point is wanted.
struct FailpointPage {
  static constexpr size_t kNameBytes = 64;  // with the terminating zero
  static constexpr size_t kMaxPassed = 8192;
  static constexpr uint32_t kGoing = 0, kStanding = 1;

  std::atomic<uint32_t> state;   // a futex; a program sets it to kStanding, the test to kGoing
  std::atomic<uint32_t> nth;     // stand still at the nth passing of `wanted`; 0: never
  std::atomic<uint32_t> passes;  // of `wanted`, so far
  char wanted[kNameBytes];       // changed while `nth` is 0
  std::atomic<uint32_t> count;   // points passed; only the first kMaxPassed have a name below
  char passed[kMaxPassed][kNameBytes];
};

// futex(2) between processes; a timeout is relative.
inline long Futex(std::atomic<uint32_t>& word, int operation, uint32_t value,
                  const timespec* timeout = nullptr) {
  return syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

}  // namespace crisp::base
