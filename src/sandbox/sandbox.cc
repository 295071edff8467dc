#include "sandbox/sandbox.h"

#include "base/check.h"

namespace crisp::sandbox {

Sandbox::Sandbox(store::SandboxRecord record, const store::RecordDirectory* directory)
    : id_(record.id), record_(std::move(record), directory) {
  CRISP_CHECK(!id_.empty());
}

void Sandbox::CleanupDone(const std::set<store::Cleanup>& steps) {
  (void)record_.UpdateAnyway([&](store::SandboxRecord& record) {
    for (const store::Cleanup step : steps) record.pending_cleanup.erase(step);
  });
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

void Sandbox::MarkLaunched(const linux::ProcessRef& pause) {
  absl::MutexLock lock(&mu_);
  CRISP_CHECK(!pause_.has_value());
  CRISP_CHECK(pause.pid > 0);
  pause_ = pause;
  pause_alive_ = true;
}

std::optional<linux::ProcessRef> Sandbox::pause() const {
  absl::ReaderMutexLock lock(&mu_);
  return pause_;
}

bool Sandbox::SetPhases(std::vector<Phase> phases) {
  absl::MutexLock lock(&mu_);
  CRISP_CHECK(pause_.has_value());
  phases_ = std::move(phases);
  return pause_alive_;
}

std::vector<Phase> Sandbox::phases() const {
  absl::ReaderMutexLock lock(&mu_);
  return phases_;
}

void Sandbox::PauseGone(const std::function<void()>& announce) {
  bool known = false;
  {
    absl::MutexLock lock(&mu_);
    CRISP_CHECK(pause_.has_value());
    known = announced_ && pause_alive_;
    pause_alive_ = false;
  }
  if (known) announce();
  pause_gone_.Set();
}

void Sandbox::MarkAnnounced(const std::function<void()>& announce_end) {
  bool ended = false;
  {
    absl::MutexLock lock(&mu_);
    CRISP_CHECK(!announced_);
    announced_ = true;
    ended = !pause_alive_;
  }
  if (ended) announce_end();
}

bool Sandbox::WaitPauseGone(base::Deadline deadline) const {
  {
    absl::ReaderMutexLock lock(&mu_);
    if (!pause_.has_value()) return true;
  }
  return pause_gone_.Wait(deadline);
}

std::vector<cni::InterfaceStats> Sandbox::interfaces() const {
  absl::ReaderMutexLock lock(&mu_);
  return interfaces_;
}

void Sandbox::SetInterfaces(std::vector<cni::InterfaceStats> interfaces) {
  absl::MutexLock lock(&mu_);
  interfaces_ = std::move(interfaces);
}

}  // namespace crisp::sandbox
