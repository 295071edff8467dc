// What crispd tells the service manager about itself: sd_notify(3). Started by hand, without
// NOTIFY_SOCKET, it tells nobody. Thread-safe.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace crisp::service {

enum class State {
  kReady,      // serves, also again after a reload
  kReloading,  // until the next kReady
  kStopping,
  kAlive,  // to be told within every WatchdogTime()
};

// OK when nobody wants to know.
absl::Status Tell(State state);

// WatchdogSec of the unit; absent when there is none.
std::optional<absl::Duration> WatchdogTime();

}  // namespace crisp::service
