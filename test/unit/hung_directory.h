// A directory of a disk that hangs: while this exists, whoever opens it, or opens or makes a file
// in it, waits. Other directories of the same disk are not affected. Needs root. Sources:
// fanotify(7).
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/fanotify.h>

#include <catch2/catch.hpp>
#include <string>

#include "base/unique_fd.h"

namespace crisp {

class HungDirectory {
 public:
  explicit HungDirectory(const std::string& directory)
      : waiting_(fanotify_init(FAN_CLOEXEC | FAN_CLASS_CONTENT, O_RDONLY)) {
    REQUIRE(waiting_.valid());
    REQUIRE(fanotify_mark(waiting_.get(), FAN_MARK_ADD,
                          FAN_OPEN_PERM | FAN_EVENT_ON_CHILD | FAN_ONDIR, AT_FDCWD,
                          directory.c_str()) == 0);
  }
  // Those who wait go on: the descriptor is closed.
  ~HungDirectory() = default;
  HungDirectory(const HungDirectory&) = delete;

  // Until somebody waits, 30 s at most.
  bool AwaitSomebody() const {
    pollfd fd = {waiting_.get(), POLLIN, 0};
    return poll(&fd, 1, 30'000) == 1;
  }

 private:
  const base::UniqueFd waiting_;
};

}  // namespace crisp
