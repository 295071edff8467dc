#include "runtime/measurer.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace crisp::runtime {
namespace {

using Progress = snapshot::UsageWalk::Progress;

// A turn that waits for the disk ends after so many times the CPU time it may use.
constexpr int kTurnStretch = 4;
// Rest after a turn, as a multiple of the CPU time it used: of the thread, and of the container.
constexpr int kThreadRest = 9;
constexpr int kContainerRest = 24;

absl::Duration ThreadCpu() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

void Publish(const snapshot::Usage& usage, container::Container& container) {
  container.SetLayerUsage({.usage = usage, .taken_at_ns = base::WallNanos()});
}

// What was counted is there, whatever a walk that has not ended has not met yet.
void PublishIfMore(const snapshot::Usage& counted, container::Container& container) {
  const std::optional<snapshot::MeasuredUsage> last = container.layer_usage();
  if (!last.has_value()) return;
  const snapshot::Usage more = {.bytes = std::max(counted.bytes, last->usage.bytes),
                                .inodes = std::max(counted.inodes, last->usage.inodes)};
  if (more.bytes > last->usage.bytes || more.inodes > last->usage.inodes) Publish(more, container);
}

absl::StatusOr<std::unique_ptr<snapshot::UsageWalk>> BeginWalk(
    std::vector<base::UniqueFd> directories) {
  CRISP_ASSIGN_OR_RETURN(std::unique_ptr<snapshot::UsageWalk> walk,
                         snapshot::UsageWalk::Begin(std::move(directories[0])));
  for (size_t i = 1; i < directories.size(); ++i)
    CRISP_RETURN_IF_ERROR(walk->Add(directories[i].get()));
  return walk;
}

}  // namespace

void MeasureNewLayer(std::vector<base::UniqueFd> directories, container::Container& container) {
  const auto walk = BeginWalk(std::move(directories));
  if (!walk.ok()) return;
  const absl::StatusOr<Progress> end = (*walk)->Step([] { return true; });
  if (end.ok() && *end == Progress::kDone) Publish((*walk)->counted(), container);
}

absl::Status Measurer::Start() {
  CRISP_ASSIGN_OR_RETURN(thread_, base::StartThread("measurer", [this] { Run(); }));
  return absl::OkStatus();
}

void Measurer::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.Join();
}

bool Measurer::WaitUntil(base::Deadline deadline) {
  absl::MutexLock lock(&mu_);
  while (!stopping_ && !deadline.Passed()) changed_.Wait(mu_, deadline);
  return !stopping_;
}

void Measurer::Run() {
  base::Deadline look = base::Deadline::At(0);
  base::Deadline rested = base::Deadline::At(0);
  while (true) {
    if (look.Passed()) {
      if (options_.measure_host) options_.measure_host();
      FindSubjects();
      look = base::Deadline::In(options_.interval);
    }
    Subject* const next = Next();
    const base::Deadline due = next == nullptr ? look : std::min(next->due, look);
    if (!WaitUntil(std::max(due, rested))) return;
    if (next == nullptr || !next->due.Passed()) continue;
    TakeTurn(*next);
    rested = base::Deadline::In(std::max(kThreadRest * turn_cpu_, turn_time_));
  }
}

void Measurer::FindSubjects() {
  std::map<std::string, Subject> found;
  for (ContainerPtr& container : objects_.containers.List()) {
    const std::string id = container->id().str();
    auto known = subjects_.extract(id);
    if (!known.empty()) {
      Subject& subject = known.mapped();
      // Nothing changes the layer of a container that has not started, or that has ended and was
      // measured since.
      if (subject.due == base::Deadline::Never() && container->state() != subject.state)
        subject.due = base::Deadline::At(0);
      found.insert(std::move(known));
      continue;
    }
    found[id].container = std::move(container);
  }
  for (auto& [id, subject] : subjects_) EndWalk(subject);
  subjects_ = std::move(found);
}

Measurer::Subject* Measurer::Next() {
  Subject* next = nullptr;
  for (auto& [id, subject] : subjects_) {
    if (subject.waits && walking_ >= options_.walks) continue;
    if (subject.due == base::Deadline::Never()) continue;
    if (next == nullptr || subject.due < next->due) next = &subject;
  }
  return next;
}

bool Measurer::SomeoneWaits() const {
  return std::any_of(subjects_.begin(), subjects_.end(),
                     [](const auto& entry) { return entry.second.waits; });
}

void Measurer::EndWalk(Subject& subject) {
  if (subject.walk == nullptr) return;
  subject.walk.reset();
  --walking_;
}

// Begins or goes on with the walk for one turn.
absl::StatusOr<Progress> Measurer::Step(Subject& subject) {
  if (subject.walk == nullptr) {
    subject.cpu = absl::ZeroDuration();
    subject.state = subject.container->state();
    subject.hurry = base::Deadline::In(options_.patience);
    if (options_.measure_more && subject.state == ::runtime::v1::CONTAINER_RUNNING)
      options_.measure_more(*subject.container);
    CRISP_ASSIGN_OR_RETURN(std::vector<base::UniqueFd> layer,
                           options_.open_layer(subject.container->id()));
    CRISP_ASSIGN_OR_RETURN(subject.walk, BeginWalk(std::move(layer)));
    ++walking_;
  }
  const absl::Duration cpu_end = ThreadCpu() + options_.turn;
  const base::Deadline end = base::Deadline::In(kTurnStretch * options_.turn);
  return subject.walk->Step([&] { return ThreadCpu() >= cpu_end || end.Passed(); });
}

void Measurer::TakeTurn(Subject& subject) {
  const absl::Duration cpu_before = ThreadCpu();
  const int64_t before = base::MonotonicNanos();
  const bool may_stay = walking_ < options_.walks || subject.walk != nullptr;
  const absl::StatusOr<Progress> progress = Step(subject);
  turn_cpu_ = ThreadCpu() - cpu_before;
  turn_time_ = absl::Nanoseconds(base::MonotonicNanos() - before);
  subject.cpu += turn_cpu_;
  container::Container& container = *subject.container;
  if (progress.ok() && *progress != Progress::kDone)
    PublishIfMore(subject.walk->counted(), container);
  if (progress.ok() && *progress == Progress::kMore && !may_stay) {
    EndWalk(subject);
    subject.waits = true;  // and begins anew, first of those that are due
    return;
  }
  subject.waits = false;
  const bool cut = subject.hurry.Passed() && SomeoneWaits();
  if (progress.ok() && *progress == Progress::kMore && !cut) {
    subject.due = base::Deadline::In(kContainerRest * turn_cpu_);
    return;
  }
  const bool first = !container.layer_usage().has_value();
  if (progress.ok() && (first || *progress == Progress::kDone))
    Publish(subject.walk->counted(), container);
  if (progress.ok() && *progress == Progress::kCut && !subject.told) {
    base::Log(base::LogLevel::kWarning, "a writable layer was measured in part",
              {{"container", container.id().str()}});
    subject.told = true;
  }
  const bool settled = subject.state != ::runtime::v1::CONTAINER_RUNNING && progress.ok() &&
                       *progress == Progress::kDone;
  EndWalk(subject);
  subject.due = settled
                    ? base::Deadline::Never()
                    : base::Deadline::In(std::max(options_.interval, kContainerRest * subject.cpu));
}

}  // namespace crisp::runtime
