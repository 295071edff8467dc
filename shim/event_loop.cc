#include "shim/event_loop.h"

namespace crisp::shim {

bool EventLoop::Open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  return epoll_.valid();
}

bool EventLoop::Add(int fd, uint32_t events, EventSource& source) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = &source;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void EventLoop::Remove(int fd) { (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

bool EventLoop::RunOnce(int timeout_ms) {
  epoll_event event;
  if (epoll_wait(epoll_.get(), &event, 1, timeout_ms) != 1) return false;
  static_cast<EventSource*>(event.data.ptr)->OnEvent(event.events);
  return true;
}

}  // namespace crisp::shim
