// Threads. The kernel may refuse one at any time: a fork bomb in a pod has used up the pids of the
// host or of crispd's cgroup, or memory is short. std::thread then throws, which would end crispd;
// StartThread returns an error. test/check_layers refuses other ways to make a thread.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"

namespace crisp::base {

// A thread, or none. Waits for its thread at the end and before it takes another one. Used by one
// thread at a time.
class Thread {
 public:
  Thread() = default;
  Thread(Thread&& other) noexcept = default;
  Thread& operator=(Thread&& other) noexcept {
    Join();
    thread_ = std::move(other.thread_);
    return *this;
  }
  ~Thread() { Join(); }

  bool joinable() const { return thread_.joinable(); }
  // Waits until the thread has ended; nothing happens when there is none.
  void Join() {
    if (joinable()) thread_.join();
  }

 private:
  friend absl::StatusOr<Thread> StartThread(const std::string& name, std::function<void()> run);
  std::thread thread_;
};

// Runs `run` on a new thread, which ps and gdb show under `name` (the first 15 bytes). It inherits
// the caller's signal mask. kResourceExhausted "cannot start a thread ..." when the kernel refuses.
absl::StatusOr<Thread> StartThread(const std::string& name, std::function<void()> run);

}  // namespace crisp::base
