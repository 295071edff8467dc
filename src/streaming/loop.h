// The server's threads: one that moves bytes (everything in this directory runs there unless it
// says otherwise) and a few that make blocking calls. A thin face over Boost.Asio, so that sessions
// need not see it.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace boost::asio {
class io_context;
}

namespace crisp::streaming {

class Loop {
 public:
  // Starts the threads. kResourceExhausted when the system refuses.
  static absl::StatusOr<std::unique_ptr<Loop>> Start(int workers);
  ~Loop();  // Stop()

  void Post(std::function<void()> task);         // runs on the I/O thread; thread-safe
  void RunOnWorker(std::function<void()> task);  // thread-safe; first come, first served
  // Lets running tasks end, drops the others and joins. Not from a thread of its own.
  void Stop();

  // Space for one read, valid until the callback returns. I/O thread only.
  static constexpr size_t kScratchBytes = 64 << 10;
  char* scratch() { return scratch_.get(); }

  boost::asio::io_context& context();

 private:
  struct Impl;
  explicit Loop(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
  std::unique_ptr<char[]> scratch_;
};

// Owns a descriptor and waits for it; each wait calls back once. No callback comes after
// destruction. I/O thread only.
class FdWatch {
 public:
  FdWatch(Loop* loop, base::UniqueFd fd);
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  int fd() const;
  // Also called for end of file and for errors; the read or write that follows tells.
  void WhenReadable(std::function<void()> callback);
  void WhenWritable(std::function<void()> callback);
  base::UniqueFd Release();  // ends all waits

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// One-shot timer. Starting again replaces the earlier start. No callback comes after Cancel() or
// destruction. I/O thread only.
class Timer {
 public:
  explicit Timer(Loop* loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void Start(absl::Duration after, std::function<void()> callback);
  void Cancel();

 private:
  struct State;
  Loop* loop_;
  std::shared_ptr<State> state_;  // of the last start
};

}  // namespace crisp::streaming
