#include "shim/open_files.h"

#include <algorithm>

namespace crisp::shim {
namespace {

constexpr rlim_t kWanted = 4096;
// Connections that are no exec's, streams and their listeners, the log, a launch.
constexpr size_t kOwn = 160;
// Its connection, group, events and two readers, /dev/null, and what its launch needs meanwhile.
constexpr size_t kOfExec = 10;

rlimit given = {};

}  // namespace

void RaiseOpenFiles() {
  if (getrlimit(RLIMIT_NOFILE, &given) != 0) return;
  const rlimit raised = {.rlim_cur = std::max(given.rlim_cur, std::min(given.rlim_max, kWanted)),
                         .rlim_max = given.rlim_max};
  (void)setrlimit(RLIMIT_NOFILE, &raised);
}

const rlimit& GivenOpenFiles() { return given; }

size_t RoomForExecs() {
  rlimit now = {};
  if (getrlimit(RLIMIT_NOFILE, &now) != 0) return 0;
  const auto limit = static_cast<size_t>(now.rlim_cur);
  return limit > kOwn ? (limit - kOwn) / kOfExec : 0;
}

}  // namespace crisp::shim
