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
  return pause_alive_;
}

bool Sandbox::visible() const {
  return record_.Read([](const store::SandboxRecord& r) { return r.ready; });
}

std::optional<Pause> Sandbox::pause() const {
  absl::ReaderMutexLock lock(&mu_);
  return pause_;
}

void Sandbox::SetPause(Pause pause) {
  absl::MutexLock lock(&mu_);
  pause_ = std::move(pause);
  pause_alive_ = true;
}

void Sandbox::PauseGone() {
  absl::MutexLock lock(&mu_);
  pause_alive_ = false;
}

bool Sandbox::WaitPauseGone(absl::Duration timeout) const {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(
      absl::Condition(
          +[](const Sandbox* self) ABSL_NO_THREAD_SAFETY_ANALYSIS { return !self->pause_alive_; },
          this),
      timeout);
}

}  // namespace crisp::sandbox
