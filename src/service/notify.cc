#include "service/notify.h"

#include <systemd/sd-daemon.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/errno.h"

namespace crisp::service {
namespace {

std::string Message(State state) {
  switch (state) {
    case State::kReady:
      return "READY=1";
    case State::kReloading:
      // The time is for Type=notify-reload (systemd 253), which tells reloads apart by it.
      return absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", base::MonotonicNanos() / 1000);
    case State::kStopping:
      return "STOPPING=1";
    case State::kAlive:
      return "WATCHDOG=1";
  }
  return "";
}

}  // namespace

absl::Status Tell(State state) {
  const std::string message = Message(state);
  const int code = sd_notify(/*unset_environment=*/0, message.c_str());
  if (code < 0) return base::Errno("notify systemd", "", -code);
  return absl::OkStatus();
}

std::optional<absl::Duration> WatchdogTime() {
  uint64_t microseconds = 0;
  if (sd_watchdog_enabled(/*unset_environment=*/0, &microseconds) <= 0) return std::nullopt;
  return absl::Microseconds(microseconds);
}

}  // namespace crisp::service
