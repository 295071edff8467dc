// epoll(7) for the resident part of the shim. One event at a time: a handler may close and reuse
// anything without a stale event of the same batch reaching what is new. No allocation.
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
  // Leaves errno on failure. What was added must be removed before it is closed: a builder that
  // was just forked may still hold a copy, and epoll would go on telling of it.
  bool Add(int fd, uint32_t events, EventSource& source);
  void Remove(int fd);
  // Handles one event; false when `timeout_ms` (-1: for ever) passed without one.
  bool RunOnce(int timeout_ms);

 private:
  base::UniqueFd epoll_;
};

}  // namespace crisp::shim
