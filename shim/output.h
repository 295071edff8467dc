// One output stream of the container, stdout, stderr or the terminal: read, written to the log, and
// copied to whoever is attached. A listener that does not read holds the stream up (the container
// then blocks, as on a real terminal) for kPatienceNs and is dropped after that. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"
#include "shim/container_log.h"
#include "shim/event_loop.h"

namespace crisp::shim {

class Output final : public EventSource {
 public:
  static constexpr int64_t kPatienceNs = 3'000'000'000;
  static constexpr int kMaxListeners = 8;

  // The line that is not complete yet, and room for what is read next; page aligned, so that pages
  // can be given back.
  static constexpr size_t kBufferSize = 2 * ContainerLog::kMaxLine;

  // The read end, of a pipe or a pty master, is made non-blocking. `buffer` has kBufferSize bytes.
  bool Open(EventLoop& loop, ContainerLog& log, Stream stream, base::UniqueFd fd, char* buffer);

  // The write end of a pipe that from now on gets a copy; `owner` names whom it belongs to. False
  // when there are too many or the output has ended.
  bool Listen(base::UniqueFd pipe, const void* owner);
  void Forget(const void* owner);

  bool is_open() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }
  // When the slowest listener will be dropped (CLOCK_MONOTONIC); INT64_MAX when none is behind.
  int64_t deadline_ns() const { return deadline_ns_; }
  void DropLate();

  // For a container that is dead: reads what is there, without waiting for more and at most what
  // the pipe can hold (somebody outside the container may have it and never stop writing), and ends
  // the stream. The log gets all of it; listeners that are behind get until `deadline_ns`.
  void Finish(int64_t deadline_ns);

  void OnEvent(uint32_t events) override;

 private:
  // A write end of its own as event source, so that room in it is noticed.
  struct Listener final : public EventSource {
    void OnEvent(uint32_t events) override;
    Output* output = nullptr;
    base::UniqueFd pipe;
    const void* owner = nullptr;
    size_t sent = 0;  // of the bytes in buffer_, from chunk_begin_
    bool behind = false;
  };

  // False at the end of the stream; errno EAGAIN when there is nothing now.
  bool Read();
  void HandOn();
  bool Send(Listener& listener);
  void Drop(Listener& listener);
  void AwaitListeners(int64_t deadline_ns);
  void Resume();
  void End();

  EventLoop* loop_ = nullptr;
  ContainerLog* log_ = nullptr;
  Stream stream_ = Stream::kStdout;
  base::UniqueFd fd_;
  Listener listeners_[kMaxListeners];
  int64_t deadline_ns_ = INT64_MAX;
  size_t begin_ = 0;        // where the incomplete line begins
  size_t chunk_begin_ = 0;  // what was read last, [chunk_begin_, end_)
  size_t end_ = 0;
  size_t high_water_ = 0;  // of end_, since the buffer's pages were given back
  char* buffer_ = nullptr;
};

}  // namespace crisp::shim
