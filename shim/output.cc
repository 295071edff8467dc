#include "shim/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"

namespace crisp::shim {
namespace {

// More than the kernel buffers of a terminal's output.
constexpr size_t kTerminalBytes = 64 << 10;

void SetNonBlocking(int fd) { (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace

bool Output::Open(EventLoop& loop, ContainerLog& log, CopyingTime& copying, Stream stream,
                  base::UniqueFd fd, char* buffer) {
  buffer_ = buffer;
  loop_ = &loop;
  log_ = &log;
  copying_ = &copying;
  stream_ = stream;
  fd_ = std::move(fd);
  SetNonBlocking(fd_.get());
  Watch();
  return watched_;
}

void Output::Watch() {
  const bool want = fd_.valid() && drop_at_ns_ == INT64_MAX && resume_at_ns_ == INT64_MAX;
  if (want == watched_) return;
  if (want) {
    watched_ = loop_->Add(fd_.get(), EPOLLIN, *this);
  } else {
    loop_->Remove(fd_.get());
    watched_ = false;
  }
}

bool Output::Listen(base::UniqueFd pipe, const void* owner) {
  if (!is_open()) return false;
  for (Listener& listener : listeners_) {
    if (listener.pipe.valid()) continue;
    SetNonBlocking(pipe.get());
    listener.output = this;
    listener.pipe = std::move(pipe);
    listener.owner = owner;
    listener.sent = end_ - chunk_begin_;  // gets only what is read from now on
    listener.behind = false;
    return true;
  }
  return false;
}

void Output::Forget(const void* owner) {
  for (Listener& listener : listeners_) {
    if (listener.pipe.valid() && listener.owner == owner) Drop(listener);
  }
  Resume();
}

void Output::OnTime(int64_t now_ns) {
  if (resume_at_ns_ <= now_ns) {
    resume_at_ns_ = INT64_MAX;
    Watch();
  }
  if (drop_at_ns_ <= now_ns) DropLate();
}

void Output::DropLate() {
  for (Listener& listener : listeners_) {
    if (listener.behind) Drop(listener);
  }
  Resume();
}

bool Output::Read() {
  ssize_t n;
  do {
    n = read(fd_.get(), buffer_ + end_, std::min(kBufferSize - end_, ContainerLog::kMaxLine));
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return true;
  if (n <= 0) return false;  // EIO: no process has the terminal open any more
  chunk_begin_ = end_;
  end_ += static_cast<size_t>(n);
  errno = 0;
  return true;
}

void Output::HandOn() {
  begin_ += log_->Write(stream_, buffer_ + begin_, end_ - begin_, /*at_end=*/false);
  for (Listener& listener : listeners_) {
    if (!listener.pipe.valid()) continue;
    listener.sent = 0;
    if (Send(listener)) continue;
    listener.behind = true;
    (void)loop_->Add(listener.pipe.get(), EPOLLOUT, listener);
    if (drop_at_ns_ == INT64_MAX) drop_at_ns_ = base::MonotonicNanos() + kPatienceNs;
  }
  Watch();
  if (drop_at_ns_ == INT64_MAX) Resume();
}

// True when the listener has got everything or has hung up.
bool Output::Send(Listener& listener) {
  const size_t size = end_ - chunk_begin_;
  while (listener.sent < size) {
    const ssize_t n =
        write(listener.pipe.get(), buffer_ + chunk_begin_ + listener.sent, size - listener.sent);
    if (n > 0) {
      listener.sent += static_cast<size_t>(n);
    } else if (n < 0 && errno == EAGAIN) {
      return false;
    } else if (n < 0 && errno != EINTR) {
      Drop(listener);
      return true;
    }
  }
  return true;
}

void Output::Drop(Listener& listener) {
  if (listener.behind) loop_->Remove(listener.pipe.get());
  listener.behind = false;
  listener.pipe.reset();
}

void Output::Listener::OnEvent(uint32_t) {
  if (!output->Send(*this)) return;
  if (behind) output->loop_->Remove(pipe.get());
  behind = false;
  output->Resume();
}

// Reads on when no listener is behind: only then may the chunk be overwritten.
void Output::Resume() {
  if (buffer_ == nullptr) return;  // a stream this container does not have
  for (const Listener& listener : listeners_) {
    if (listener.behind) return;
  }
  drop_at_ns_ = INT64_MAX;
  Watch();
  high_water_ = std::max(high_water_, end_);
  const bool drained = end_ - chunk_begin_ < ContainerLog::kMaxLine;
  memmove(buffer_, buffer_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  chunk_begin_ = end_;
  // After a burst of output its pages go back to the kernel, so that a container that is quiet
  // again costs no more memory than before.
  constexpr size_t kPage = 4096;
  if (!drained || end_ != 0 || high_water_ <= kPage) return;
  (void)madvise(buffer_, kBufferSize, MADV_DONTNEED);
  high_water_ = 0;
}

void Output::End() {
  if (!fd_.valid()) return;
  log_->Write(stream_, buffer_ + begin_, end_ - begin_, /*at_end=*/true);
  if (watched_) loop_->Remove(fd_.get());
  watched_ = false;
  fd_.reset();
  drop_at_ns_ = resume_at_ns_ = INT64_MAX;
  begin_ = chunk_begin_ = end_ = 0;
  for (Listener& listener : listeners_) {
    if (listener.pipe.valid()) Drop(listener);
  }
}

void Output::OnEvent(uint32_t) {
  const int64_t begin_ns = base::ClockNanos(CLOCK_THREAD_CPUTIME_ID);
  if (!Read()) {
    End();
  } else if (errno != EAGAIN) {
    HandOn();
    CountCpu(begin_ns);
  }
}

void Output::CountCpu(int64_t begin_ns) {
  const int64_t cpu_ns = base::ClockNanos(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
  const int64_t now_ns = base::MonotonicNanos();
  copying_->paid_at_ns = PaidAt(copying_->paid_at_ns, cpu_ns, now_ns);
  if (copying_->paid_at_ns <= now_ns) return;
  resume_at_ns_ = copying_->paid_at_ns;
  Watch();
}

void Output::AwaitListeners(int64_t deadline_ns) {
  for (Listener& listener : listeners_) {
    while (listener.behind) {
      pollfd entry = {.fd = listener.pipe.get(), .events = POLLOUT, .revents = 0};
      const int64_t left_ms = (deadline_ns - base::MonotonicNanos()) / 1'000'000;
      if (left_ms <= 0 || poll(&entry, 1, static_cast<int>(left_ms)) == 0) {
        Drop(listener);
      } else {
        listener.OnEvent(0);
      }
    }
  }
  Resume();
}

void Output::Finish(int64_t deadline_ns) {
  if (!is_open()) return;
  // Everything the dead container wrote is in the pipe, so reading as much as the pipe can hold is
  // enough. A terminal does not have a pipe size; it holds less.
  const int capacity = fcntl(fd_.get(), F_GETPIPE_SZ);
  size_t left = capacity > 0 ? static_cast<size_t>(capacity) : kTerminalBytes;
  AwaitListeners(deadline_ns);
  while (left > 0 && Read() && errno != EAGAIN) {
    left -= std::min(left, end_ - chunk_begin_);
    HandOn();
    AwaitListeners(deadline_ns);
  }
  End();
}

}  // namespace crisp::shim
