#include "cli/probes.h"

#include "absl/synchronization/notification.h"
#include "manifest_fixture.h"

namespace crisp::cli {
namespace {

const absl::Status kGood;
const absl::Status kBad = absl::UnavailableError("refused");

Container WithProbes(const std::string& probes) { return PodOf(probes).spec.containers[0]; }

// One of its commands does not end before it is told to.
class HangingHandlers final : public Handlers {
 public:
  absl::Status Run(const Handler& handler, const HandlerTarget&, Purpose, absl::Duration) override {
    if (handler.exec->at(0) != "hang") return kBad;
    hangs.Notify();
    end.WaitForNotification();
    return kGood;
  }
  absl::Notification hangs, end;
};

// Counts how often it is asked.
class RefusingHandlers final : public Handlers {
 public:
  absl::Status Run(const Handler&, const HandlerTarget&, Purpose, absl::Duration) override {
    const absl::MutexLock lock(&mu_);
    ++asked_;
    return kBad;
  }
  int asked() const {
    const absl::MutexLock lock(&mu_);
    return asked_;
  }

 private:
  mutable absl::Mutex mu_;
  int asked_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace

TEST_CASE("a container without probes has started, is ready and alive") {
  const Container container = WithProbes("");
  const ProbeState state(container, At(0));
  CHECK_FALSE(ProbeState::HasProbes(container));
  CHECK(state.health().has_started);
  CHECK(state.health().is_ready);
  CHECK(state.health().is_alive);
  for (const auto kind : {ProbeState::kStartup, ProbeState::kLiveness, ProbeState::kReadiness})
    CHECK(state.IsOver(kind));
}

TEST_CASE("a liveness probe gives up after its failures in a row") {
  const Container container = WithProbes(
      "    livenessProbe: {exec: {command: [a]}, initialDelaySeconds: 5, failureThreshold: 2, "
      "terminationGracePeriodSeconds: 3}\n");
  ProbeState state(container, At(0));
  CHECK(state.Due(ProbeState::kLiveness) == At(5));
  state.Record(ProbeState::kLiveness, kBad, At(5));
  CHECK(state.health().is_alive);
  CHECK(state.Due(ProbeState::kLiveness) == At(15));
  state.Record(ProbeState::kLiveness, kGood, At(15));
  state.Record(ProbeState::kLiveness, kBad, At(25));
  CHECK(state.health().is_alive);
  state.Record(ProbeState::kLiveness, kBad, At(35));
  CHECK_FALSE(state.health().is_alive);
  CHECK(state.health().message == "liveness probe failed: refused");
  CHECK(state.health().grace == absl::Seconds(3));
  CHECK(state.IsOver(ProbeState::kLiveness));
  state.Record(ProbeState::kLiveness, kGood, At(45));  // it was asked meanwhile
  CHECK_FALSE(state.health().is_alive);
}

TEST_CASE(
    "a runtime that cannot run a probe's command neither ends a container nor makes it ready") {
  const Container container = WithProbes(
      "    livenessProbe: {exec: {command: [a]}, failureThreshold: 2}\n"
      "    readinessProbe: {exec: {command: [b]}, failureThreshold: 1}\n");
  const absl::Status none = absl::AbortedError("socket closed");
  ProbeState state(container, At(0));
  state.Record(ProbeState::kReadiness, none, At(0));
  CHECK_FALSE(state.health().is_ready);
  CHECK(state.health().message == "readiness probe: socket closed");
  state.Record(ProbeState::kReadiness, kGood, At(0));
  CHECK(state.health().message.empty());
  state.Record(ProbeState::kReadiness, none, At(10));
  CHECK(state.health().is_ready);
  state.Record(ProbeState::kLiveness, kBad, At(20));
  state.Record(ProbeState::kLiveness, none, At(20));
  CHECK(state.health().is_alive);
  CHECK(state.Due(ProbeState::kLiveness) == At(30));
  state.Record(ProbeState::kLiveness, kBad, At(30));
  CHECK_FALSE(state.health().is_alive);
}

TEST_CASE("nothing else is asked before the startup probe has succeeded, and it not again") {
  const Container container = WithProbes(
      "    startupProbe: {exec: {command: [a]}, periodSeconds: 1, failureThreshold: 3}\n"
      "    readinessProbe: {exec: {command: [b]}}\n"
      "    livenessProbe: {exec: {command: [c]}, initialDelaySeconds: 60}\n");
  ProbeState state(container, At(0));
  CHECK_FALSE(state.health().has_started);
  CHECK_FALSE(state.health().is_ready);
  CHECK(state.Due(ProbeState::kStartup) == At(0));
  for (const auto kind : {ProbeState::kLiveness, ProbeState::kReadiness}) {
    CHECK_FALSE(state.Due(kind).has_value());
    CHECK_FALSE(state.IsOver(kind));
  }
  state.Record(ProbeState::kStartup, kBad, At(0));
  state.Record(ProbeState::kStartup, kGood, At(1));
  CHECK(state.health().has_started);
  CHECK_FALSE(state.health().is_ready);
  CHECK(state.IsOver(ProbeState::kStartup));
  CHECK(state.Due(ProbeState::kLiveness) == At(60));
  CHECK(state.Due(ProbeState::kReadiness) == At(0));
  state.Record(ProbeState::kReadiness, kGood, At(2));
  CHECK(state.health().is_ready);
  CHECK(state.Due(ProbeState::kReadiness) == At(12));
}

TEST_CASE("a startup probe that never succeeds ends the container") {
  const Container container =
      WithProbes("    startupProbe: {exec: {command: [a]}, failureThreshold: 1}\n");
  ProbeState state(container, At(0));
  state.Record(ProbeState::kStartup, kBad, At(0));
  CHECK_FALSE(state.health().is_alive);
}

TEST_CASE("readiness comes and goes with its thresholds") {
  const Container container = WithProbes(
      "    readinessProbe: {exec: {command: [a]}, successThreshold: 2, failureThreshold: 2}\n");
  ProbeState state(container, At(0));
  const auto ready_after = [&](const absl::Status& result) {
    state.Record(ProbeState::kReadiness, result, At(0));
    return state.health().is_ready;
  };
  CHECK_FALSE(ready_after(kGood));
  CHECK(ready_after(kGood));
  CHECK(ready_after(kBad));
  CHECK_FALSE(ready_after(kBad));
  CHECK(state.health().is_alive);
  CHECK_FALSE(ready_after(kGood));
  CHECK(ready_after(kGood));
}

TEST_CASE("a liveness probe that succeeds does not hide why a container is not ready") {
  const Container container = WithProbes(
      "    livenessProbe: {exec: {command: [a]}}\n"
      "    readinessProbe: {exec: {command: [b]}, failureThreshold: 1}\n");
  ProbeState state(container, At(0));
  state.Record(ProbeState::kReadiness, kBad, At(0));
  state.Record(ProbeState::kLiveness, kGood, At(0));
  CHECK(state.health().message == "readiness probe failed: refused");
  state.Record(ProbeState::kReadiness, kGood, At(10));
  CHECK(state.health().message.empty());
}

TEST_CASE("a readiness probe that hangs does not hold up the liveness probe") {
  const Container container = WithProbes(
      "    readinessProbe: {exec: {command: [hang]}}\n"
      "    livenessProbe: {exec: {command: [fail]}, initialDelaySeconds: 1, failureThreshold: "
      "1}\n");
  HangingHandlers handlers;
  absl::Notification changed;
  ProbeThreads probes(handlers, [&] {
    if (!changed.HasBeenNotified()) changed.Notify();
  });
  probes.Begin({.container = &container, .container_id = "c0", .ip = ""});
  handlers.hangs.WaitForNotification();
  CHECK(changed.WaitForNotificationWithTimeout(absl::Seconds(60)));
  CHECK_FALSE(probes.Of(container, "c0").is_alive);
  handlers.end.Notify();
}

TEST_CASE("threads ask, tell of changes, and end with the run or the object") {
  const Container container =
      WithProbes("    livenessProbe: {exec: {command: [a]}, failureThreshold: 1}\n");
  RefusingHandlers handlers;
  absl::Mutex mu;
  bool has_changed = false;
  {
    ProbeThreads probes(handlers, [&] {
      const absl::MutexLock lock(&mu);
      has_changed = true;
    });
    probes.Begin({.container = &container, .container_id = "c0", .ip = ""});
    {
      const absl::MutexLock lock(&mu);
      CHECK(mu.AwaitWithTimeout(absl::Condition(&has_changed), absl::Seconds(60)));
    }
    CHECK_FALSE(probes.Of(container, "c0").is_alive);
    CHECK(probes.Of(container, "c1").is_alive);
    probes.Keep({});
    CHECK(probes.Of(container, "c0").is_alive);
    // One that waits for its turn does not hold up the end.
    const Container late =
        WithProbes("    livenessProbe: {exec: {command: [a]}, initialDelaySeconds: 3600}\n");
    probes.Begin({.container = &late, .container_id = "c2", .ip = ""});
    probes.Keep({});
  }
  CHECK(handlers.asked() == 1);
}

}  // namespace crisp::cli
