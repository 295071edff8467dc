#include "rpc/call_watch.h"

#include <utility>

#include "base/status_macros.h"

namespace crisp::rpc {

absl::Status CallWatch::Start() {
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("call watch", [this] { Run(); }));
  return absl::OkStatus();
}

CallWatch::~CallWatch() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
}

CallWatch::InFlight::InFlight(CallWatch& watch, const base::Call& call,
                              std::function<bool()> is_cancelled)
    : watch_(watch) {
  absl::MutexLock lock(&watch_.mu_);
  key_ = watch_.next_key_++;
  watch_.calls_[key_] = {.token = call.cancel, .is_cancelled = std::move(is_cancelled)};
  // Without calls the thread sleeps without a deadline.
  if (watch_.calls_.size() == 1) watch_.changed_.NotifyAll();
}

CallWatch::InFlight::~InFlight() {
  absl::MutexLock lock(&watch_.mu_);
  watch_.calls_.erase(key_);
}

void CallWatch::Run() {
  absl::MutexLock lock(&mu_);
  while (!stopping_) {
    if (calls_.empty()) {
      changed_.Wait(mu_, base::Deadline::Never());
      continue;
    }
    const base::Deadline next = base::Deadline::In(kInterval);
    while (!stopping_ && !next.Passed()) changed_.Wait(mu_, next);
    for (auto& [key, call] : calls_) {
      if (!call.token->cancelled() && call.is_cancelled()) call.token->Cancel();
    }
  }
}

}  // namespace crisp::rpc
