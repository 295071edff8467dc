#include "cli/probes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace crisp::cli {
namespace {

constexpr const char* kNames[] = {"startup", "liveness", "readiness"};

}  // namespace

bool ProbeState::HasProbes(const Container& container) {
  return container.startup_probe.has_value() || container.liveness_probe.has_value() ||
         container.readiness_probe.has_value();
}

ProbeState::ProbeState(const Container& container, absl::Time started) {
  const std::optional<Probe>* probes[kKinds] = {&container.startup_probe, &container.liveness_probe,
                                                &container.readiness_probe};
  for (int kind = 0; kind < kKinds; ++kind) {
    if (!probes[kind]->has_value()) continue;
    ones_[kind].probe = &**probes[kind];
    ones_[kind].due = started + absl::Seconds(ones_[kind].probe->initial_delay);
  }
  health_.has_started = ones_[kStartup].probe == nullptr;
  health_.is_ready = health_.has_started && ones_[kReadiness].probe == nullptr;
}

bool ProbeState::IsOver(Kind kind) const {
  return ones_[kind].probe == nullptr || !health_.is_alive ||
         (kind == kStartup && health_.has_started);
}

std::optional<absl::Time> ProbeState::Due(Kind kind) const {
  // Until it has started, nothing else is asked.
  if (IsOver(kind) || (kind != kStartup && !health_.has_started)) return std::nullopt;
  return ones_[kind].due;
}

void ProbeState::Record(Kind kind, const absl::Status& result, absl::Time now) {
  if (!health_.is_alive) return;  // another one was faster
  One& one = ones_[kind];
  const Probe& probe = *one.probe;
  one.due = now + absl::Seconds(probe.period);
  if (absl::IsAborted(result)) {  // as for kubelet it counts neither way
    if (!health_.is_ready)
      health_.message = absl::StrCat(kNames[kind], " probe: ", result.message());
    return;
  }
  one.successes = result.ok() ? one.successes + 1 : 0;
  one.failures = result.ok() ? 0 : one.failures + 1;
  if (one.successes >= probe.success_threshold) {
    if (kind == kStartup) health_.has_started = true;
    if (kind == kReadiness) health_.is_ready = true;
    if (kind == kStartup && ones_[kReadiness].probe == nullptr) health_.is_ready = true;
    // One that lives may be unready all the same.
    if (kind != kLiveness) health_.message.clear();
  }
  if (one.failures < probe.failure_threshold) return;
  health_.is_ready = false;
  health_.message = absl::StrCat(kNames[kind], " probe failed: ", result.message());
  if (kind == kReadiness) return;
  health_.is_alive = false;
  if (probe.grace_period.has_value()) health_.grace = absl::Seconds(*probe.grace_period);
}

void ProbeThreads::Ask(Run& run, ProbeState::Kind kind) {
  // Not so while the startup probe decides about the others.
  const auto is_decided = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run.mu) {
    return run.is_ended || run.state.IsOver(kind) || run.state.Due(kind).has_value();
  };
  const Probe* probe = nullptr;
  while (true) {
    {
      const absl::MutexLock lock(&run.mu);
      run.mu.Await(absl::Condition(&is_decided));
      const std::optional<absl::Time> due = run.state.Due(kind);
      if (!due.has_value() || run.mu.AwaitWithDeadline(absl::Condition(&run.is_ended), *due))
        return;
      probe = run.state.probe(kind);
    }
    const absl::Status result =
        handlers_.Run(probe->handler, run.target, Purpose::kProbe, absl::Seconds(probe->timeout));
    {
      const absl::MutexLock lock(&run.mu);
      if (run.is_ended) return;
      run.state.Record(kind, result, absl::Now());
    }
    changed_();
  }
}

void ProbeThreads::Begin(const HandlerTarget& target) {
  if (!ProbeState::HasProbes(*target.container) || runs_.count(target.container_id) > 0) return;
  auto run = std::make_unique<Run>(target, absl::Now());
  for (const auto kind : {ProbeState::kStartup, ProbeState::kLiveness, ProbeState::kReadiness}) {
    {
      const absl::MutexLock lock(&run->mu);
      if (run->state.IsOver(kind)) continue;  // there is none
    }
    absl::StatusOr<base::Thread> thread =
        base::StartThread("probe", [this, raw = run.get(), kind] { Ask(*raw, kind); });
    if (!thread.ok()) {  // the kernel refuses one just now: the next round tries again
      const absl::MutexLock lock(&run->mu);
      run->is_ended = true;
      return;
    }
    run->threads.push_back(*std::move(thread));
  }
  runs_.emplace(target.container_id, std::move(run));
}

void ProbeThreads::Keep(const std::set<std::string>& container_ids) {
  // All are told before the first is waited for, so that they end together.
  for (const auto& [id, run] : runs_) {
    if (container_ids.count(id) > 0) continue;
    const absl::MutexLock lock(&run->mu);
    run->is_ended = true;
  }
  for (auto at = runs_.begin(); at != runs_.end();) {
    const bool is_kept = container_ids.count(at->first) > 0;
    at = is_kept ? std::next(at) : runs_.erase(at);  // waits for its threads
  }
}

Health ProbeThreads::Of(const Container& container, const std::string& container_id) const {
  const auto found = runs_.find(container_id);
  if (found != runs_.end()) {
    const absl::MutexLock lock(&found->second->mu);
    return found->second->state.health();
  }
  // Not asked yet, or there is nothing to ask.
  return ProbeState(container, absl::Now()).health();
}

}  // namespace crisp::cli
