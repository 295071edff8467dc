#include "cli/pod_supervisor.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "base/thread.h"

namespace crisp::cli {
namespace {

// kubelet looks this often, too; events make it sooner.
constexpr absl::Duration kLookAgain = absl::Seconds(10);
// What is left of a grace period when hooks or others have used it up.
constexpr absl::Duration kLeastGrace = absl::Seconds(2);

// For what is stopped by itself.
constexpr auto kAtOnce = [](base::Deadline) {};

Observed ObservedOf(const ContainerInfo& info) {
  constexpr int kUnknownExit = 137;  // its shim died: it was killed
  Observed out;
  out.state = info.state == ContainerInfo::State::kRunning ? Observed::State::kRunning
                                                           : Observed::State::kExited;
  out.exit_code = info.state == ContainerInfo::State::kExited ? info.exit_code : kUnknownExit;
  out.finished = info.finished;
  return out;
}

// Null: it has not run.
bool HasSucceeded(const ContainerInfo* run) {
  return run != nullptr && run->state == ContainerInfo::State::kExited && run->exit_code == 0;
}

}  // namespace

PodSupervisor::PodSupervisor(const Pod& pod, const Manifest& objects, PodInstance instance,
                             const Node& node, std::vector<RegistryCredential> credentials,
                             const Hands& hands)
    : pod_(pod),
      objects_(objects),
      instance_(std::move(instance)),
      node_(node),
      credentials_(std::move(credentials)),
      runtime_(hands.runtime),
      files_(hands.files),
      handlers_(hands.handlers),
      probes_(hands.probes),
      clock_(hands.clock),
      members_(MembersOf(pod.spec)),
      plan_(members_, pod.spec.restart_policy) {}

::runtime::v1::PodSandboxConfig PodSupervisor::SandboxConfig() const {
  return SandboxMessage(pod_, instance_, node_);
}

absl::StatusOr<PodSupervisor::View> PodSupervisor::Look() {
  View view;
  CRISP_ASSIGN_OR_RETURN(view.sandboxes, runtime_.Sandboxes(instance_.uid));
  CRISP_ASSIGN_OR_RETURN(std::vector<ContainerInfo> containers, runtime_.Containers(instance_.uid));
  for (const SandboxInfo& sandbox : view.sandboxes) {
    if (sandbox.is_ready) view.sandbox = sandbox.id;
  }
  for (ContainerInfo& info : containers) {
    // An earlier supervisor was killed between creating it and starting it.
    if (info.state == ContainerInfo::State::kCreated) {
      CRISP_RETURN_IF_ERROR(runtime_.RemoveContainer(info.id));
    } else {
      view.containers.push_back(std::move(info));
    }
  }
  return view;
}

const ContainerInfo* PodSupervisor::LastRun(const View& view, size_t index,
                                            bool any_sandbox) const {
  const ContainerInfo* last = nullptr;
  for (const ContainerInfo& info : view.containers) {
    if (info.name != members_[index].container->name) continue;
    if (!any_sandbox && info.sandbox_id != view.sandbox) continue;
    if (last == nullptr || info.attempt >= last->attempt) last = &info;
  }
  return last;
}

std::vector<Observed> PodSupervisor::Observe(const View& view, bool any_sandbox) const {
  std::vector<Observed> observed(members_.size());
  for (size_t i = 0; i < members_.size(); ++i) {
    const ContainerInfo* last = LastRun(view, i, any_sandbox);
    if (last != nullptr) {
      observed[i] = ObservedOf(*last);
      observed[i].has_started = probes_.Of(*members_[i].container, last->id).has_started;
    }
    // What has succeeded for good in an earlier sandbox does not run again.
    const ContainerInfo* earlier = LastRun(view, i, true);
    if (last == nullptr && members_[i].role == Role::kMain && HasSucceeded(earlier) &&
        pod_.spec.restart_policy == RestartPolicy::kOnFailure) {
      observed[i] = ObservedOf(*earlier);
      observed[i].is_earlier = true;
    }
    const auto failure = failures_.find(i);
    if (failure == failures_.end()) continue;
    // A start that left a run behind is an exit like others.
    const bool has_run = earlier != nullptr && earlier->attempt >= failure->second.attempt;
    if (!has_run) observed[i].failed = failure->second.at;
  }
  return observed;
}

bool PodSupervisor::MayReplaceSandbox(const View& view) const {
  if (pod_.spec.restart_policy == RestartPolicy::kAlways) return true;
  if (pod_.spec.restart_policy == RestartPolicy::kNever) return view.containers.empty();
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].role == Role::kMain && !HasSucceeded(LastRun(view, i, true))) return true;
  }
  return false;
}

absl::Status PodSupervisor::MakeSandbox(View& view) {
  uint32_t attempt = 0;
  for (const SandboxInfo& sandbox : view.sandboxes) {
    // Gives its address back and ends what may still run in it.
    CRISP_RETURN_IF_ERROR(runtime_.StopSandbox(sandbox.id));
    attempt = std::max(attempt, sandbox.attempt + 1);
  }
  instance_.attempt = attempt;
  CRISP_RETURN_IF_ERROR(files_.MakeVolumes());
  CRISP_ASSIGN_OR_RETURN(view.sandbox, runtime_.RunSandbox(SandboxConfig()));
  view.sandboxes.push_back({.id = view.sandbox, .attempt = attempt, .is_ready = true});
  return absl::OkStatus();
}

absl::Status PodSupervisor::UseSandbox(const View& view) {
  if (view.sandbox == used_sandbox_) return absl::OkStatus();
  for (const SandboxInfo& sandbox : view.sandboxes) {
    if (sandbox.id == view.sandbox) instance_.attempt = sandbox.attempt;
  }
  if (pod_.spec.host_network) {
    instance_.ips = node_.ips;
  } else {
    CRISP_ASSIGN_OR_RETURN(instance_.ips, runtime_.SandboxIps(view.sandbox));
  }
  used_sandbox_ = view.sandbox;
  return absl::OkStatus();
}

absl::StatusOr<ImageInfo> PodSupervisor::EnsureImage(const std::string& image, PullPolicy policy) {
  absl::StatusOr<ImageInfo> found = runtime_.FindImage(image);
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  if (found.ok() && policy != PullPolicy::kAlways) return found;
  if (policy == PullPolicy::kNever) {
    return absl::NotFoundError(
        absl::StrCat("image ", image, " is not present, and imagePullPolicy is Never"));
  }
  const std::vector<::runtime::v1::AuthConfig> auths = CredentialsFor(image, credentials_);
  absl::Status pulled = absl::UnknownError("");
  for (size_t i = 0; i < std::max<size_t>(auths.size(), 1) && !pulled.ok(); ++i)
    pulled = runtime_.PullImage(image, auths.empty() ? nullptr : &auths[i], SandboxConfig());
  CRISP_RETURN_IF_ERROR(pulled);
  return runtime_.FindImage(image);
}

absl::Status PodSupervisor::RemoveOldRuns(const View& view, size_t index) {
  // The last one stays: its log and its exit are what people look at.
  const ContainerInfo* last = LastRun(view, index, true);
  for (const ContainerInfo& info : view.containers) {
    if (last == nullptr || info.name != last->name || info.id == last->id) continue;
    CRISP_RETURN_IF_ERROR(runtime_.RemoveContainer(info.id));
    files_.Forget(*members_[index].container, info.attempt);
  }
  return absl::OkStatus();
}

uint32_t PodSupervisor::NextAttempt(const View& view, size_t index) const {
  const ContainerInfo* last = LastRun(view, index, true);
  return last == nullptr ? 0 : last->attempt + 1;
}

absl::Status PodSupervisor::Start(const View& view, size_t index) {
  const Container& container = *members_[index].container;
  const uint32_t attempt = NextAttempt(view, index);
  CRISP_RETURN_IF_ERROR(UseSandbox(view));
  const ContainerInfo* last = LastRun(view, index, false);
  // It may run still, beside the next one.
  if (last != nullptr && last->state == ContainerInfo::State::kUnknown)
    CRISP_RETURN_IF_ERROR(StopRun(*last, container, Grace(), kAtOnce));
  CRISP_RETURN_IF_ERROR(RemoveOldRuns(view, index));
  CRISP_ASSIGN_OR_RETURN(const ImageInfo image,
                         EnsureImage(container.image, container.pull_policy));
  ContainerInput input = {.pod = pod_,
                          .container = container,
                          .objects = objects_,
                          .instance = instance_,
                          .node = node_,
                          .attempt = attempt,
                          .image_id = image.id,
                          .image_user = image.user,
                          .volume_image_ids = {}};
  for (const VolumeMount& mount : container.volume_mounts) {
    const Volume& volume = VolumeOf(pod_.spec, mount.name);
    if (!volume.image.has_value()) continue;
    CRISP_ASSIGN_OR_RETURN(const ImageInfo content,
                           EnsureImage(volume.image->reference, volume.image->pull_policy));
    input.volume_image_ids[volume.name] = content.id;
  }
  CRISP_ASSIGN_OR_RETURN(const auto config, ContainerMessage(input));
  CRISP_RETURN_IF_ERROR(files_.MakeForContainer(container, attempt, instance_));
  CRISP_ASSIGN_OR_RETURN(const std::string id,
                         runtime_.CreateContainer(view.sandbox, config, SandboxConfig()));
  CRISP_RETURN_IF_ERROR(runtime_.StartContainer(id));
  if (!container.post_start.has_value()) return absl::OkStatus();
  ContainerInfo run;
  run.id = id;
  const absl::Status hook = handlers_.Run(*container.post_start, TargetOf(run, container),
                                          Purpose::kHook, absl::InfiniteDuration());
  if (hook.ok()) return absl::OkStatus();
  // As for kubelet: it ends, and the restart policy decides what follows.
  CRISP_RETURN_IF_ERROR(StopRun(run, container, Grace(), kAtOnce));
  return base::Prefix(hook, "postStart hook");
}

void PodSupervisor::Act(const View& view, const Actions& actions, PodReport& report) {
  bool has_acted = !actions.start.empty();
  if (!actions.stop.empty()) {
    std::vector<std::vector<size_t>> groups;
    for (const size_t index : actions.stop) groups.push_back({index});
    const absl::Status stopped = StopInTurn(view, groups, false);
    if (!stopped.ok()) report.message = std::string(stopped.message());
    has_acted = has_acted || stopped.ok();
  }
  for (const size_t index : actions.start) {
    const absl::Status started = Start(view, index);
    if (started.ok()) {
      failures_.erase(index);
    } else {
      // A pull may have taken long: the back-off begins now.
      failures_[index] = {.at = clock_(),
                          .attempt = NextAttempt(view, index),
                          .message = std::string(started.message())};
    }
  }
  // What was just done has changed what comes next.
  if (has_acted) report.wake = absl::InfinitePast();
}

void PodSupervisor::Tidy(const View& view, PodReport& report) {
  absl::Status tidied;
  for (const SandboxInfo& sandbox : view.sandboxes) {
    bool is_used = sandbox.id == view.sandbox;
    for (const ContainerInfo& info : view.containers)
      is_used = is_used || info.sandbox_id == sandbox.id;
    if (!is_used) tidied.Update(runtime_.RemoveSandbox(sandbox.id));
  }
  for (size_t i = 0; i < members_.size(); ++i) {
    const ContainerInfo* last = LastRun(view, i, false);
    if (last == nullptr || last->state != ContainerInfo::State::kRunning) continue;
    tidied.Update(files_.RotateLog(*members_[i].container, last->attempt,
                                   [&] { return runtime_.ReopenLog(last->id); }));
  }
  if (!tidied.ok()) report.message = std::string(tidied.message());
}

std::string PodSupervisor::WhyEnded(const ContainerInfo& run, size_t index) const {
  const std::string own =
      files_.EndMessage(*members_[index].container, run.attempt, ObservedOf(run).exit_code != 0);
  std::string why;
  for (const std::string& part : {run.reason, run.message, own}) {
    if (!part.empty()) absl::StrAppend(&why, why.empty() ? "" : ": ", part);
  }
  return why;
}

void PodSupervisor::Describe(const View& view, PodReport& report) const {
  report.is_ready = report.phase == Phase::kRunning;
  for (size_t i = 0; i < members_.size(); ++i) {
    ContainerReport& out = report.containers.emplace_back();
    out.name = members_[i].container->name;
    out.state = "Waiting";
    const ContainerInfo* last = LastRun(view, i, true);
    if (last != nullptr) {
      out.state = last->state == ContainerInfo::State::kRunning ? "Running" : "Exited";
      out.attempt = last->attempt;
      const Health health = probes_.Of(*members_[i].container, last->id);
      out.is_ready = last->state == ContainerInfo::State::kRunning && health.is_ready;
      out.exit_code = ObservedOf(*last).exit_code;
      out.message = out.state == "Running" ? health.message : WhyEnded(*last, i);
    }
    const auto failure = failures_.find(i);
    if (failure == failures_.end()) continue;
    const bool has_run = last != nullptr && last->attempt >= failure->second.attempt;
    if (has_run && out.state == "Running") continue;  // the answer to its start was lost
    if (!has_run) out.state = "Waiting";
    out.message = failure->second.message;
  }
  for (size_t i = 0; i < members_.size(); ++i) {
    const ContainerInfo* last = LastRun(view, i, true);
    const bool has_ended =
        last != nullptr && last->state == ContainerInfo::State::kExited &&
        (pod_.spec.restart_policy == RestartPolicy::kNever ||
         (pod_.spec.restart_policy == RestartPolicy::kOnFailure && last->exit_code == 0));
    const bool counts =
        members_[i].role == Role::kSidecar || (members_[i].role == Role::kMain && !has_ended);
    report.is_ready = report.is_ready && (!counts || report.containers[i].is_ready);
  }
}

bool PodSupervisor::EnsureSandbox(View& view, PodReport& report) {
  if (!view.sandbox.empty()) return true;
  if (sandbox_back_off_.Until(sandbox_failed_) <= clock_()) {
    const absl::Status made = MakeSandbox(view);
    if (made.ok()) return true;
    sandbox_message_ = std::string(made.message());
    sandbox_failed_ = clock_();
    sandbox_back_off_.Restarted(sandbox_failed_, sandbox_failed_);
  }
  report.message = sandbox_message_;
  report.wake = sandbox_back_off_.Until(sandbox_failed_);
  return false;
}

PodReport PodSupervisor::Sync() {
  PodReport report;
  report.wake = clock_() + kLookAgain;
  absl::StatusOr<View> view = Look();
  if (!view.ok()) {
    report.phase = phase_;
    report.message = std::string(view.status().message());
    return report;
  }
  if (view->sandbox.empty() && !MayReplaceSandbox(*view)) {
    const Actions left = plan_.Next(Observe(*view, true), clock_());
    report.phase = left.phase == Phase::kSucceeded ? Phase::kSucceeded : Phase::kFailed;
    report.message = "its sandbox has ended";
    report.is_over = true;
  } else if (EnsureSandbox(*view, report)) {
    const absl::Status used = UseSandbox(*view);
    if (!used.ok()) report.message = std::string(used.message());
    if (used.ok() && Probe(*view, report)) {
      report.phase = phase_;
      report.wake = absl::InfinitePast();
      return report;
    }
    const Actions actions = plan_.Next(Observe(*view, false), clock_());
    report.phase = actions.phase;
    report.is_over = actions.is_over;
    report.wake = std::min(report.wake, actions.wake);
    Act(*view, actions, report);
    Tidy(*view, report);
  }
  phase_ = report.phase;
  Describe(*view, report);
  return report;
}

absl::Status PodSupervisor::Finish() {
  CRISP_ASSIGN_OR_RETURN(const View view, Look());
  for (const SandboxInfo& sandbox : view.sandboxes)
    CRISP_RETURN_IF_ERROR(runtime_.StopSandbox(sandbox.id));
  return absl::OkStatus();
}

HandlerTarget PodSupervisor::TargetOf(const ContainerInfo& run, const Container& container) const {
  return {.container = &container,
          .container_id = run.id,
          .ip = instance_.ips.empty() ? "" : instance_.ips[0]};
}

bool PodSupervisor::Probe(const View& view, PodReport& report) {
  std::set<std::string> running;
  bool has_stopped = false;
  for (size_t i = 0; i < members_.size(); ++i) {
    const ContainerInfo* last = LastRun(view, i, false);
    if (last == nullptr || last->state != ContainerInfo::State::kRunning) continue;
    running.insert(last->id);
    const Container& container = *members_[i].container;
    probes_.Begin(TargetOf(*last, container));
    const Health health = probes_.Of(container, last->id);
    if (health.is_alive) continue;
    report.message = absl::StrCat(container.name, ": ", health.message);
    const absl::Status stopped = StopRun(*last, container, health.grace.value_or(Grace()), kAtOnce);
    if (!stopped.ok()) report.message = std::string(stopped.message());
    has_stopped = has_stopped || stopped.ok();
  }
  probes_.Keep(running);
  return has_stopped;
}

absl::Status PodSupervisor::StopRun(const ContainerInfo& run, const Container& container,
                                    absl::Duration grace,
                                    const std::function<void(base::Deadline)>& await_turn) {
  const base::Deadline end = base::Deadline::In(grace);
  // What the hook answers changes nothing: the container is stopped in any case.
  if (container.pre_stop.has_value() && grace > absl::ZeroDuration())
    (void)handlers_.Run(*container.pre_stop, TargetOf(run, container), Purpose::kHook, grace);
  await_turn(end);
  return runtime_.StopContainer(run.id, std::max(end.Left(), std::min(grace, kLeastGrace)));
}

absl::Status PodSupervisor::StopInTurn(const View& view,
                                       const std::vector<std::vector<size_t>>& groups,
                                       bool any_sandbox) {
  struct Stop {
    const ContainerInfo* run;
    const Container* container;
    size_t group;
    absl::Status result;
  };
  std::vector<Stop> stops;
  std::vector<size_t> left(groups.size());  // how many of each group have not ended
  for (size_t group = 0; group < groups.size(); ++group) {
    for (const size_t index : groups[group]) {
      const ContainerInfo* last = LastRun(view, index, any_sandbox);
      if (last == nullptr || last->state != ContainerInfo::State::kRunning) continue;
      stops.push_back({last, members_[index].container, group, absl::OkStatus()});
      ++left[group];
    }
  }
  absl::Mutex mu;
  const auto stop_one = [&](Stop& stop) {
    const auto is_turn = [&] {
      return std::all_of(left.begin(), left.begin() + static_cast<ptrdiff_t>(stop.group),
                         [](size_t running) { return running == 0; });
    };
    stop.result = StopRun(*stop.run, *stop.container, Grace(), [&](base::Deadline end) {
      const absl::MutexLock lock(&mu);
      mu.AwaitWithTimeout(absl::Condition(&is_turn), end.Left());
    });
    const absl::MutexLock lock(&mu);
    --left[stop.group];
  };
  {
    std::vector<base::Thread> threads;
    for (Stop& stop : stops) {
      auto thread = base::StartThread("stop", [&stop_one, &stop] { stop_one(stop); });
      CRISP_RETURN_IF_ERROR(thread.status());
      threads.push_back(*std::move(thread));
    }
  }
  for (const Stop& stop : stops) CRISP_RETURN_IF_ERROR(stop.result);
  return absl::OkStatus();
}

absl::Status PodSupervisor::TearDown() {
  CRISP_ASSIGN_OR_RETURN(const View view, Look());
  // Hooks need the pod's address. Without it they fail, and the pod goes all the same.
  if (!view.sandbox.empty()) (void)UseSandbox(view);
  CRISP_RETURN_IF_ERROR(StopInTurn(view, StopOrder(members_), true));
  // A probe may have minutes for its command, which has ended with its container.
  probes_.Keep({});
  for (const SandboxInfo& sandbox : view.sandboxes) {
    CRISP_RETURN_IF_ERROR(runtime_.StopSandbox(sandbox.id));
    CRISP_RETURN_IF_ERROR(runtime_.RemoveSandbox(sandbox.id));
  }
  return files_.Remove();
}

}  // namespace crisp::cli
