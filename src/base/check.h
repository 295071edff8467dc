// CRISP_CHECK(condition): what must hold whatever a client, a container or the kernel does. A
// false one is a bug of crispd, which then ends at once instead of acting on a state that cannot
// be: everything it promised is on disk, and the next start reads it.
#pragma once

namespace crisp::base {

// Logs "check failed" with the place and the condition, then abort(3).
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace crisp::base

#define CRISP_CHECK(condition) \
  ((condition) ? (void)0 : ::crisp::base::CheckFailed(__FILE__, __LINE__, #condition))
