// Waiting for the store's background thread, which removes what was thrown into trash/.
#pragma once

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/time/time.h"
#include "base/deadline.h"
#include "base/file.h"
#include "base/unique_fd.h"

namespace crisp::snapshot {

// Whether `directory` has no entries, at the latest within five minutes: a deep tree takes a slow
// disk long.
inline bool AwaitEmpty(const std::string& directory) {
  const base::Deadline deadline = base::Deadline::In(absl::Minutes(5));
  const base::UniqueFd events(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  // Watched before the first look, so that no removal falls between the two.
  if (inotify_add_watch(events.get(), directory.c_str(), IN_DELETE | IN_MOVED_FROM) < 0)
    return false;
  while (true) {
    const auto names = base::ListDir(directory);
    if (!names.ok()) return false;
    if (names->empty()) return true;
    pollfd ready = {events.get(), POLLIN, 0};
    const int n = poll(&ready, 1, deadline.PollMillis());
    if (n < 0 && errno == EINTR) continue;  // a fuzzer has a timer
    if (n <= 0) return false;
    char buffer[4096];
    while (read(events.get(), buffer, sizeof(buffer)) > 0) continue;
  }
}

}  // namespace crisp::snapshot
