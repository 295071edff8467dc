// Tells systemd that crispd works, as often as WatchdogSec asks for it and only while a check says
// so. When that ends, systemd kills crispd and starts it again; containers run on. Thread-safe.
#pragma once

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/deadline.h"
#include "base/thread.h"
#include "base/wait.h"

namespace crisp::service {

class Watchdog {
 public:
  // OK when crispd works; anything else, or no answer, when it does not. Should return by the
  // deadline. Called by one thread.
  using Check = std::function<absl::Status(base::Deadline)>;

  // Checks at once and then every half of `time`, the WatchdogSec; after a failure much sooner.
  // Calls `alive` after each check that was OK.
  static absl::StatusOr<std::unique_ptr<Watchdog>> Start(absl::Duration time, Check check,
                                                         std::function<void()> alive);
  ~Watchdog();  // waits for a check that is under way

 private:
  Watchdog(absl::Duration time, Check check, std::function<void()> alive)
      : time_(time), check_(std::move(check)), alive_(std::move(alive)) {}
  void Run();

  const absl::Duration time_;
  const Check check_;
  const std::function<void()> alive_;
  absl::Mutex mu_;
  base::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  base::Thread thread_;
};

}  // namespace crisp::service
