// What builder and child tell the shim about a launch: one shared page, made before the builder is
// forked.
//
// There is one writer at a time, so no lock is needed: the builder until it has cloned the child or
// the helper, then that, unless the builder is the helper. The shim reads the page after the `done`
// pipe has reached end of file and a helper has ended: by then the builder has ended, and the child
// has executed its program or ended.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/clock.h"
#include "ipc/step.h"

namespace crisp::shim {

// How much of `text` fits into `room` bytes, not cut within a character of UTF-8, whose further
// bytes are 10xxxxxx: crispd does not take a message with a part of one.
inline size_t Fitting(const char* text, size_t room) {
  size_t length = strnlen(text, room);
  for (int i = 0; i < 3 && length > 0 && (text[length] & 0xc0) == 0x80; ++i) --length;
  return length;
}

struct Report {
  struct Mark {
    ipc::Step step;
    int64_t begin_ns;  // CLOCK_MONOTONIC
  };
  static constexpr size_t kMaxMarks = 48;

  // Both are set by clone itself (CLONE_PARENT_SETTID), before the process runs.
  pid_t child = 0;
  pid_t helper = 0;  // 0: the child does the steps itself; see child/inside.cc
  bool builder_is_helper = false;
  bool failed = false;
  int error = 0;  // errno; 0: none
  size_t count = 0;
  Mark marks[kMaxMarks] = {};
  char detail[1024] = {};

  void Begin(ipc::Step step) {
    if (count < kMaxMarks) marks[count++] = {step, base::MonotonicNanos()};
  }
  // The one begun last.
  ipc::Step step() const { return count == 0 ? ipc::Step::kNone : marks[count - 1].step; }

  // Records why the current step fails; a second call changes nothing. Returns false, as a step
  // that fails does.
  bool Fail(int code, const char* a = "", const char* b = "", const char* c = "") {
    if (failed) return false;
    failed = true;
    error = code;
    size_t used = 0;
    for (const char* part : {a, b, c}) {
      const size_t room = sizeof(detail) - 1 - used;
      const size_t length = Fitting(part, room);
      memcpy(detail + used, part, length);
      used += length;
    }
    detail[used] = '\0';
    return false;
  }
};
static_assert(sizeof(Report) <= 4096);

}  // namespace crisp::shim
