#include "cli/pod_plan.h"

#include <algorithm>

namespace crisp::cli {
namespace {

using State = Observed::State;

constexpr absl::Duration kFirstDelay = absl::Seconds(10);
constexpr absl::Duration kLongestDelay = absl::Minutes(5);
constexpr absl::Duration kForgottenAfter = absl::Minutes(10);

bool IsOver(Phase phase) { return phase == Phase::kSucceeded || phase == Phase::kFailed; }

}  // namespace

std::vector<Member> MembersOf(const PodSpec& spec) {
  std::vector<Member> members;
  for (const Container& container : spec.init_containers)
    members.push_back({&container, container.is_sidecar ? Role::kSidecar : Role::kInit});
  for (const Container& container : spec.containers) members.push_back({&container, Role::kMain});
  return members;
}

bool BackOff::IsForgotten(absl::Time ended) const { return ended - last_ > kForgottenAfter; }

absl::Time BackOff::Until(absl::Time ended) const {
  return IsForgotten(ended) ? absl::InfinitePast() : ended + delay_;
}

void BackOff::Restarted(absl::Time ended, absl::Time now) {
  delay_ = IsForgotten(ended) ? kFirstDelay : std::clamp(delay_ * 2, kFirstDelay, kLongestDelay);
  last_ = now;
}

absl::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kPending:
      return "Pending";
    case Phase::kRunning:
      return "Running";
    case Phase::kSucceeded:
      return "Succeeded";
    case Phase::kFailed:
      return "Failed";
  }
  return "";
}

PodPlan::PodPlan(std::vector<Member> members, RestartPolicy policy)
    : members_(std::move(members)), policy_(policy), back_offs_(members_.size()) {}

bool PodPlan::IsRestarted(const Observed& observed) const {
  return policy_ == RestartPolicy::kAlways ||
         (policy_ == RestartPolicy::kOnFailure && observed.exit_code != 0);
}

void PodPlan::Want(size_t index, const Observed& observed, absl::Time now, Actions& actions) {
  if (observed.state == State::kNone && !observed.failed.has_value()) {
    actions.start.push_back(index);
    return;
  }
  const absl::Time ended = observed.failed.value_or(observed.finished);
  const absl::Time until = back_offs_[index].Until(ended);
  if (until > now) {
    actions.wake = std::min(actions.wake, until);
    return;
  }
  back_offs_[index].Restarted(ended, now);
  actions.start.push_back(index);
}

bool PodPlan::Initialize(const std::vector<Observed>& observed, bool was_initialized,
                         absl::Time now, Actions& actions) {
  bool go_on = true;
  for (size_t i = 0; i < members_.size() && members_[i].role != Role::kMain; ++i) {
    const Observed& one = observed[i];
    const bool is_running = one.state == State::kRunning;
    if (members_[i].role == Role::kSidecar) {
      // One that ran already is brought back at once; a new one waits for its turn.
      if (!is_running && (go_on || one.state == State::kExited)) Want(i, one, now, actions);
      go_on = go_on && is_running && one.has_started;
      continue;
    }
    // A main container ran: a run that somebody has removed since is not repeated.
    if (was_initialized) continue;
    if (!go_on || (one.state == State::kExited && one.exit_code == 0)) continue;
    go_on = false;
    if (is_running) continue;
    if (one.state == State::kExited && policy_ == RestartPolicy::kNever) {
      actions.phase = Phase::kFailed;
    } else {
      Want(i, one, now, actions);
    }
  }
  return go_on;
}

void PodPlan::RunMain(const std::vector<Observed>& observed, absl::Time now, Actions& actions) {
  bool is_done = true, has_failed = false, have_started = true;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].role != Role::kMain) continue;
    const Observed& one = observed[i];
    have_started = have_started && one.state != State::kNone;
    const bool has_ended = one.state == State::kExited && !IsRestarted(one);
    is_done = is_done && has_ended;
    has_failed = has_failed || (has_ended && one.exit_code != 0);
    if (!has_ended && one.state != State::kRunning) Want(i, one, now, actions);
  }
  if (is_done) {
    actions.phase = has_failed ? Phase::kFailed : Phase::kSucceeded;
  } else if (have_started) {
    actions.phase = Phase::kRunning;
  }
}

Actions PodPlan::Next(const std::vector<Observed>& observed, absl::Time now) {
  Actions actions;
  // Once a main container ran, a sidecar that is being restarted holds up no other container. A new
  // sandbox begins with the init containers again.
  bool was_initialized = false;
  for (size_t i = 0; i < members_.size(); ++i) {
    const bool has_run = observed[i].state != State::kNone && !observed[i].is_earlier;
    was_initialized = was_initialized || (members_[i].role == Role::kMain && has_run);
  }
  if (Initialize(observed, was_initialized, now, actions) || was_initialized)
    RunMain(observed, now, actions);
  if (!IsOver(actions.phase)) return actions;
  // Only sidecars still run.
  actions.start.clear();
  actions.wake = absl::InfiniteFuture();
  for (size_t i = members_.size(); i-- > 0;) {
    if (observed[i].state == State::kRunning) actions.stop.push_back(i);
  }
  actions.is_over = actions.stop.empty();
  return actions;
}

std::vector<std::vector<size_t>> StopOrder(const std::vector<Member>& members) {
  std::vector<std::vector<size_t>> groups(1);
  for (size_t i = members.size(); i-- > 0;) {
    if (members[i].role == Role::kSidecar) {
      groups.push_back({i});
    } else {
      groups[0].push_back(i);
    }
  }
  return groups;
}

}  // namespace crisp::cli
