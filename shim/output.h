// One output stream of the container (stdout, stderr or the terminal): it is read, written to the
// log and copied to attached clients, the listeners. A listener that does not read holds up the
// stream, and with it the container, as a real terminal would; it is dropped after kPatienceNs.
// Copying all streams of a container takes at most a quarter of a CPU, which is not the
// container's: one that writes faster waits. No allocation. One thread, event-driven.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"
#include "shim/container_log.h"
#include "shim/event_loop.h"

namespace crisp::shim {

// When the copying so far is paid for (CLOCK_MONOTONIC): until then it pauses. One for all streams
// of a container.
struct CopyingTime {
  int64_t paid_at_ns = 0;
};

// So much of a pause is given in advance, so that most bursts of output need none.
inline constexpr int64_t kBurstNs = 100'000'000;

// Pure. When copying is paid for that was so far at `paid_at_ns`, after one more copy that took
// `cpu_ns` and ended at `now_ns`. It is paid for with four times its CPU time, also when that is
// more than kBurstNs, as it is on a slow machine.
constexpr int64_t PaidAt(int64_t paid_at_ns, int64_t cpu_ns, int64_t now_ns) {
  return std::max(paid_at_ns, now_ns - kBurstNs) + 4 * cpu_ns;
}

class Output final : public EventSource {
 public:
  static constexpr int64_t kPatienceNs = 3'000'000'000;
  static constexpr int kMaxListeners = 8;

  // Room for the incomplete last line and for what is read next.
  static constexpr size_t kBufferSize = 2 * ContainerLog::kMaxLine;

  // `fd` is the read end of a pipe or a pty master and is made non-blocking. `buffer` has
  // kBufferSize bytes and is page aligned, so that its pages can be given back to the kernel.
  bool Open(EventLoop& loop, ContainerLog& log, CopyingTime& copying, Stream stream,
            base::UniqueFd fd, char* buffer);

  // From now on `pipe`, a write end, gets a copy. `owner` is the key for Forget(). False when there
  // are kMaxListeners already or the output has ended.
  bool Listen(base::UniqueFd pipe, const void* owner);
  void Forget(const void* owner);

  bool is_open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }
  // When OnTime() is to be called (CLOCK_MONOTONIC); INT64_MAX when it need not be.
  int64_t deadline_ns() const { return std::min(drop_at_ns_, resume_at_ns_); }
  // Drops listeners that are late, reads on after a pause.
  void OnTime(int64_t now_ns);

  // After the container's death: reads what is in the pipe without waiting for more, and ends the
  // stream. Reads at most as much as the pipe can hold, because a process outside of the container
  // may have the write end and never stop writing. The log gets all of it; listeners that are
  // behind have time until `deadline_ns` (CLOCK_MONOTONIC).
  void Finish(int64_t deadline_ns);

  void OnEvent(uint32_t events) override;

 private:
  // An event source of its own: it is told when its pipe has room again.
  struct Listener final : public EventSource {
    void OnEvent(uint32_t events) override;
    Output* output = nullptr;
    base::UniqueFd pipe;
    const void* owner = nullptr;
    size_t sent = 0;  // of the bytes in buffer_, from chunk_begin_
    bool behind = false;
  };

  // False at the end of the stream; true with errno EAGAIN when there is nothing to read now.
  bool Read();
  void HandOn();
  bool Send(Listener& listener);
  void Drop(Listener& listener);
  void DropLate();
  void CountCpu(int64_t begin_ns);
  // Waits for output, or not: while a listener is behind, and in a pause.
  void Watch();
  void AwaitListeners(int64_t deadline_ns);
  void Resume();
  void End();

  EventLoop* loop_ = nullptr;
  ContainerLog* log_ = nullptr;
  CopyingTime* copying_ = nullptr;
  Stream stream_ = Stream::kStdout;
  base::UniqueFd fd_;
  Listener listeners_[kMaxListeners];
  bool watched_ = false;
  int64_t drop_at_ns_ = INT64_MAX;    // when the slowest listener is dropped, if one is behind
  int64_t resume_at_ns_ = INT64_MAX;  // the end of a pause
  size_t begin_ = 0;                  // start of the incomplete line
  size_t chunk_begin_ = 0;            // what was read last is [chunk_begin_, end_)
  size_t end_ = 0;
  size_t high_water_ = 0;  // largest end_ since the buffer's pages were given back
  char* buffer_ = nullptr;
};

}  // namespace crisp::shim
