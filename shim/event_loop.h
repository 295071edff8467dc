// epoll(7) for the resident part of the shim. One event is taken at a time: a handler may close a
// descriptor and reuse its object, and no older event of the same batch reaches the new user. No
// allocation. One thread.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "base/unique_fd.h"

namespace crisp::shim {

// Receives the events of the descriptors it was added with.
class EventSource {
 public:
  virtual void OnEvent(uint32_t events) = 0;

 protected:
  ~EventSource() = default;
};

class EventLoop {
 public:
  bool Open();
  // False and errno on failure. A descriptor must be removed before it is closed: a builder that
  // was just forked may hold a copy of it, and epoll would go on reporting that.
  bool Add(int fd, uint32_t events, EventSource& source);
  void Remove(int fd);
  // Handles one event; false when `timeout_ms` (-1: no limit) passed without one.
  bool RunOnce(int timeout_ms);

 private:
  base::UniqueFd epoll_;
};

}  // namespace crisp::shim
