// What builder and child tell the shim about a launch, and how: one shared page, made before the
// builder is forked.
//
// The builder writes it until it has cloned the child, the child from then on; the shim reads it
// after the `done` pipe has reached its end, which happens when the builder is gone and the child
// has executed its program or is gone too. So there is one writer at a time and no lock.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/clock.h"
#include "ipc/step.h"

namespace crisp::shim {

struct Report {
  struct Mark {
    ipc::Step step;
    int64_t begin_ns;  // CLOCK_MONOTONIC
  };
  static constexpr size_t kMaxMarks = 48;

  pid_t child = 0;  // set by clone3 itself (CLONE_PARENT_SETTID), before the child runs
  bool failed = false;
  int error = 0;  // errno, 0 if none
  size_t count = 0;
  Mark marks[kMaxMarks] = {};
  char detail[1024] = {};

  void Begin(ipc::Step step) {
    if (count < kMaxMarks) marks[count++] = {step, base::MonotonicNanos()};
  }
  // The one begun last.
  ipc::Step step() const { return count == 0 ? ipc::Step::kNone : marks[count - 1].step; }

  // Records why the current step fails; the first reason stays. Returns false, what a failing step
  // returns.
  bool Fail(int code, const char* a = "", const char* b = "", const char* c = "") {
    if (failed) return false;
    failed = true;
    error = code;
    size_t used = 0;
    for (const char* part : {a, b, c}) {
      const size_t room = sizeof(detail) - 1 - used;
      const size_t length = strnlen(part, room);
      memcpy(detail + used, part, length);
      used += length;
    }
    detail[used] = '\0';
    return false;
  }
};
static_assert(sizeof(Report) <= 4096);

}  // namespace crisp::shim
