#include "sandbox/sandbox.h"

namespace crisp::sandbox {

void Sandbox::Paid(store::Debt debt) {
  (void)record_.UpdateAnyway([debt](store::SandboxRecord& record) { record.owed.erase(debt); });
}

void Sandbox::MarkStopped() {
  (void)record_.UpdateAnyway([](store::SandboxRecord& record) { record.stopped = true; });
}

bool Sandbox::ready() const {
  if (!record_.Read([](const store::SandboxRecord& r) { return r.ready && !r.stopped; }))
    return false;
  absl::ReaderMutexLock lock(&mu_);
  return pause_alive_ && pause_.has_value();
}

bool Sandbox::visible() const {
  return record_.Read([](const store::SandboxRecord& r) { return r.ready; });
}

std::optional<Pause> Sandbox::pause() const {
  absl::ReaderMutexLock lock(&mu_);
  return pause_;
}

void Sandbox::MarkLaunched() {
  absl::MutexLock lock(&mu_);
  pause_alive_ = true;
  settled_ = false;
}

bool Sandbox::SetPause(Pause pause) {
  absl::MutexLock lock(&mu_);
  pause_ = std::move(pause);
  return pause_alive_;
}

void Sandbox::PauseGone(const std::function<void()>& announce) {
  bool known = false;
  {
    absl::MutexLock lock(&mu_);
    known = announced_ && pause_alive_;
    pause_alive_ = false;
  }
  if (known) announce();
  absl::MutexLock lock(&mu_);
  settled_ = true;
}

void Sandbox::MarkAnnounced(const std::function<void()>& announce_end) {
  bool ended = false;
  {
    absl::MutexLock lock(&mu_);
    announced_ = true;
    ended = !pause_alive_;
  }
  if (ended) announce_end();
}

bool Sandbox::WaitPauseGone(absl::Duration timeout) const {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&settled_), timeout);
}

}  // namespace crisp::sandbox
