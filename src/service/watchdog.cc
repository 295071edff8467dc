#include "service/watchdog.h"

#include "base/log.h"
#include "base/status_macros.h"

namespace crisp::service {

absl::StatusOr<std::unique_ptr<Watchdog>> Watchdog::Start(absl::Duration time, Check check,
                                                          std::function<void()> alive) {
  std::unique_ptr<Watchdog> watchdog(new Watchdog(time, std::move(check), std::move(alive)));
  CRISP_ASSIGN_OR_RETURN(watchdog->thread_,
                         base::StartThread("watchdog", [w = watchdog.get()] { w->Run(); }));
  return watchdog;
}

Watchdog::~Watchdog() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
}

void Watchdog::Run() {
  while (true) {
    // A check that begins at half of the time and takes as long as it may still ends in time.
    const absl::Status works = check_(base::Deadline::In(time_ / 3));
    if (works.ok()) {
      alive_();
    } else {
      base::Log(base::LogLevel::kError,
                "crispd does not answer itself; systemd ends it if that lasts",
                {{"error", std::string(works.message())}});
    }
    const base::Deadline next = base::Deadline::In(works.ok() ? time_ / 2 : time_ / 20);
    absl::MutexLock lock(&mu_);
    while (!stopping_ && !next.Passed()) changed_.Wait(mu_, next);
    if (stopping_) return;
  }
}

}  // namespace crisp::service
