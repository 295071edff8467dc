// The server's threads: the I/O thread, which copies bytes, and workers, which make blocking calls.
// What this directory's comments do not say otherwise about runs on the I/O thread. Hides
// Boost.Asio from the sessions.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace boost::asio {
class io_context;
}

namespace crisp::streaming {

class Loop {
 public:
  // Starts the threads. kResourceExhausted when the kernel does not allow more threads.
  static absl::StatusOr<std::unique_ptr<Loop>> Start(int workers);
  ~Loop();  // Stop()

  void Post(std::function<void()> task);         // runs on the I/O thread; thread-safe
  void RunOnWorker(std::function<void()> task);  // runs on a worker, in order; thread-safe
  // Waits for running tasks, drops the others and joins the threads. Not to be called from one of
  // them.
  void Stop();

  // A buffer for one read, valid until the callback returns. I/O thread only.
  static constexpr size_t kScratchBytes = 64 << 10;
  char* scratch() { return scratch_.get(); }

  boost::asio::io_context& context();

 private:
  struct Impl;
  explicit Loop(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
  std::unique_ptr<char[]> scratch_;
};

// Owns a descriptor and waits for it; each wait calls back once, and never after the destructor.
// I/O thread only.
class FdWatch {
 public:
  FdWatch(Loop* loop, base::UniqueFd fd);
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  int fd() const;
  // Also called for end of file and for errors, which the caller's read or write then returns.
  void WhenReadable(std::function<void()> callback);
  void WhenWritable(std::function<void()> callback);
  base::UniqueFd Release();  // ends all waits

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// One-shot timer. Start() replaces an earlier start. It never calls back after Cancel() or the
// destructor. I/O thread only.
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
