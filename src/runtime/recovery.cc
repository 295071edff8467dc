// Start: records and the shims' files are read and reconciled, undo that a dead daemon owed is
// finished, what no record names is removed. Nothing here may fail the start because of one object.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "ipc/channel.h"
#include "layers/image_volumes.h"
#include "linux/process_ref.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"
#include "shim_client/facts.h"

namespace crisp::cri {
namespace {

// A shim whose daemon died during Start either finishes the start or kills the child; it needs no
// longer than this.
constexpr int kSettleMillis = 2000;

// Of the shim that wrote init.json; invalid when it is gone (its pid may be another's by now).
base::UniqueFd ShimPidfd(const shim::v1::Started& started) {
  const linux::ProcessRef shim{started.shim_pid(), started.shim_start_ticks()};
  absl::StatusOr<base::UniqueFd> pidfd = shim.Open();
  return pidfd.ok() ? *std::move(pidfd) : base::UniqueFd();
}

using Names = std::vector<std::string>;

// What is left of a container: its facts, and the tether of its shim if that lives.
struct Found {
  std::optional<shim::v1::Started> started;
  absl::Status damage;  // why init.json, which is there, cannot be read
  ipc::Channel tether;
  bool mute = false;  // the shim may live, but does not take connections now

  bool alive() const { return tether.valid() || mute; }
};

// Nobody listens: a dead shim's socket, of this boot or an earlier one, or none.
bool IsGone(const absl::Status& connect) {
  return absl::IsUnavailable(connect) || absl::IsNotFound(connect);
}

// kResourceExhausted when that cannot be told now.
absl::StatusOr<Found> Look(const std::string& bundle) {
  Found found;
  absl::StatusOr<ipc::Channel> tether = ipc::Connect(base::JoinPath(bundle, base::kShimSocket));
  absl::StatusOr<shim::v1::Started> started = shim_client::ReadInit(bundle);
  if (tether.ok() && !started.ok()) {
    // In the middle of a start that nobody waits for any more: its outcome is near.
    pollfd fd = {tether->fd(), POLLIN | POLLRDHUP, 0};
    const int64_t give_up = base::MonotonicNanos() + int64_t{kSettleMillis} * 1'000'000;
    while (!started.ok() && base::MonotonicNanos() < give_up && poll(&fd, 1, 20) == 0) {
      started = shim_client::ReadInit(bundle);
    }
    if (!started.ok()) started = shim_client::ReadInit(bundle);
  }
  if (absl::IsResourceExhausted(started.status())) return started.status();
  if (tether.ok()) {
    found.tether = *std::move(tether);
  } else {
    found.mute = !IsGone(tether.status());
  }
  if (started.ok()) {
    found.started = *std::move(started);
  } else if (!absl::IsNotFound(started.status())) {
    found.damage = started.status();
  }
  return found;
}

// Decodes a record and hands it on.
template <typename Record>
auto Reader(std::function<absl::Status(Record)> recover) {
  return [recover = std::move(recover)](const std::string& id, absl::string_view text) {
    Record record;
    CRISP_RETURN_IF_ERROR(store::Decode(text, record));
    if (record.id != id) return absl::InvalidArgumentError("record of another id");
    return recover(std::move(record));
  };
}

void LogDamaged(absl::string_view noun, const store::Damaged& damaged) {
  if (absl::IsNotFound(damaged.why)) {  // a create or remove cut short, or somebody deleted it
    base::Log(base::LogLevel::kWarning,
              absl::StrCat(noun, " without a record, ending what is left"), {{"id", damaged.id}});
    return;
  }
  base::Log(base::LogLevel::kError, absl::StrCat("damaged ", noun, " record, moved to quarantine"),
            {{"id", damaged.id}, {"error", std::string(damaged.why.message())}});
}

}  // namespace

absl::Status Service::RecoverSandbox(store::SandboxRecord record) {
  const std::string id = record.id;
  const std::string bundle = paths_.Bundle(id);
  auto sandbox = std::make_shared<sandbox::Sandbox>(std::move(record), &sandbox_records_);
  CRISP_ASSIGN_OR_RETURN(Found found, Look(bundle));
  base::UniqueFd pidfd;
  if (found.started.has_value()) {
    pidfd = ShimPidfd(*found.started);
    (void)sandbox->SetPause(
        {.pid = found.started->pid(), .start_ticks = found.started->start_ticks(), .phases = {}});
  }
  if (found.alive()) sandbox->MarkLaunched();
  sandboxes_.Add(sandbox);
  if (found.alive()) Tie(id, std::move(found.tether), std::move(pidfd));
  if (sandbox->visible()) sandbox->MarkAnnounced([] {});
  return absl::OkStatus();
}

// Of every sandbox, once the containers are known too.
void Service::FinishTeardowns() {
  for (const SandboxPtr& sandbox : sandboxes_.List()) {
    const bool acknowledged = sandbox->visible();
    const bool stopping =
        sandbox->Read([](const store::SandboxRecord& r) { return r.stopped && !r.owed.empty(); });
    // Never acknowledged: undo and forget. Stop was asked and is not finished: finish it.
    if (!acknowledged || stopping) TeardownLater(sandbox, /*then_forget=*/!acknowledged);
  }
}

absl::Status Service::RecoverContainer(store::ContainerRecord record) {
  const std::string id = record.id;
  {
    absl::MutexLock lock(&layer_use_.mu());
    layer_use_.Add(UsedLayers(record));
  }
  const bool ended = record.outcome.has_value();
  auto container = std::make_shared<container::Container>(std::move(record), &container_records_);
  containers_.Add(container);
  if (ended) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(Found found, Look(paths_.Bundle(id)));
  if (!found.started.has_value() && access(paths_.Bundle(id).c_str(), F_OK) != 0) {
    // Whether it ran or was still to be started, it never will again.
    found.damage = absl::NotFoundError("what it left in /run is gone with the host's restart");
  }
  if (!found.damage.ok()) {
    base::Log(base::LogLevel::kError, "a container is lost",
              {{"id", id}, {"error", std::string(found.damage.message())}});
    (void)container->MarkExited({.started_at_ns = 0,
                                 .finished_at_ns = base::WallNanos(),
                                 .exit_code = 255,
                                 .reason = "Unknown",
                                 .message = std::string(found.damage.message())},
                                [] {});
  }
  if (!found.started.has_value()) {
    // CREATED, or a start that never happened, whose cgroup is in the way of the next.
    const std::string cgroup_path = CgroupPath(*container);
    (void)cgroups_.Kill(cgroup_path);
    (void)cgroups_.Remove(cgroup_path, kKillTime);
    return absl::OkStatus();
  }
  container::Init init{.pid = found.started->pid(),
                       .start_ticks = found.started->start_ticks(),
                       .started_at_ns = found.started->started_at_ns(),
                       .phases = {}};
  for (const shim::v1::Phase& phase : found.started->phases()) {
    init.phases.emplace_back(phase.name(), phase.duration_ns());
  }
  container->MarkStarted(std::move(init));
  if (!found.alive()) {
    OnShimGone(id);
    return absl::OkStatus();
  }
  Tie(id, std::move(found.tether), ShimPidfd(*found.started));
  // The daemon may have died between writing down an update and doing it.
  const absl::Status applied = ApplyResources(*container);
  if (!applied.ok() && !absl::IsNotFound(applied)) {
    base::Log(base::LogLevel::kWarning, "limits on record cannot be applied",
              {{"container", id}, {"error", std::string(applied.message())}});
  }
  return absl::OkStatus();
}

// Watches a shim; one that does not take connections now is asked again until it does or is gone.
void Service::Tie(const std::string& id, ipc::Channel tether, base::UniqueFd pidfd) {
  if (tether.valid() && monitor_.Watch(id, std::move(tether), std::move(pidfd)).ok()) return;
  base::Log(base::LogLevel::kWarning, "a shim does not answer", {{"id", id}});
  const auto shim = std::make_shared<base::UniqueFd>(std::move(pidfd));
  background_.Add(absl::StrCat("tether ", id), [this, id, shim] {
    absl::StatusOr<ipc::Channel> again =
        ipc::Connect(base::JoinPath(paths_.Bundle(id), base::kShimSocket));
    if (again.ok()) return monitor_.Watch(id, *std::move(again), std::move(*shim)).ok();
    if (!IsGone(again.status())) return false;
    OnShimGone(id);
    return true;
  });
}

// What a crash left before its record was committed, what quarantined records were about, and what
// still runs although the records are gone (an emptied root).
absl::Status Service::RemoveOrphans() {
  const auto known = [this](const std::string& id) {
    return sandboxes_.Find(id).ok() || containers_.Find(id).ok();
  };
  for (const std::string& id : base::ListDir(paths_.Bundles()).value_or(Names())) {
    if (known(id)) continue;
    if (base::IsId(id) && access(cni::NetnsPath(id).c_str(), F_OK) == 0) {
      const absl::Status reclaimed = ReclaimSandbox(id);
      if (absl::IsResourceExhausted(reclaimed)) return reclaimed;
      if (reclaimed.ok()) continue;
    }
    ReclaimContainer(id);
    (void)base::RemoveTree(paths_.Bundle(id));
  }
  for (const std::string& id : base::ListDir(paths_.SandboxDirs()).value_or(Names())) {
    if (!known(id)) (void)base::RemoveTree(paths_.SandboxDir(id));
  }
  const absl::StatusOr<std::vector<std::string>> writable = snapshots_.Containers();
  if (writable.ok()) {
    for (const std::string& id : *writable) {
      if (!known(id)) (void)snapshots_.RemoveContainer(id);
    }
  }
  layer_use_.DeleteUnused();
  return absl::OkStatus();
}

absl::Status Service::Recover() {
  CRISP_RETURN_IF_ERROR(sandbox_records_.Init());
  CRISP_RETURN_IF_ERROR(container_records_.Init());
  CRISP_RETURN_IF_ERROR(base::MakeDirs(paths_.Bundles(), 0700));
  CRISP_RETURN_IF_ERROR(base::MakeDirs(paths_.SandboxDirs(), 0700));
  CRISP_RETURN_IF_ERROR(monitor_.Start());
  background_.Start();
  CRISP_ASSIGN_OR_RETURN(
      const std::vector<store::Damaged> damaged_sandboxes,
      sandbox_records_.Load(Reader<store::SandboxRecord>(
          [this](store::SandboxRecord record) { return RecoverSandbox(std::move(record)); })));
  for (const store::Damaged& damaged : damaged_sandboxes) {
    LogDamaged("sandbox", damaged);
    if (!base::IsId(damaged.id)) continue;  // nothing of ours bears such a name
    const absl::Status reclaimed = ReclaimSandbox(damaged.id);
    if (absl::IsResourceExhausted(reclaimed)) return reclaimed;
    if (!reclaimed.ok()) LogDamaged("sandbox", {damaged.id, reclaimed});
  }
  CRISP_ASSIGN_OR_RETURN(
      const std::vector<store::Damaged> damaged_containers,
      container_records_.Load(Reader<store::ContainerRecord>(
          [this](store::ContainerRecord record) { return RecoverContainer(std::move(record)); })));
  for (const store::Damaged& damaged : damaged_containers) {
    LogDamaged("container", damaged);
    ReclaimContainer(damaged.id);
  }
  CRISP_RETURN_IF_ERROR(RemoveOrphans());
  FinishTeardowns();
  return absl::OkStatus();
}

// In place of a record that could not be read: one of a sandbox that was never acknowledged and
// owes all that its id and its bundle still tell. A host-network pod has neither pin nor cached
// result.
absl::Status Service::ReclaimSandbox(const std::string& id) {
  store::SandboxRecord record;
  record.id = id;
  record.created_at_ns = base::WallNanos();
  record.netns_path = cni::NetnsPath(id);
  record.owed = {store::Debt::kNetwork, store::Debt::kNetns, store::Debt::kFiles};
  const absl::StatusOr<std::string> cgroup_path = BundleCgroup(paths_.Bundle(id));
  if (absl::IsResourceExhausted(cgroup_path.status())) return cgroup_path.status();
  if (cgroup_path.ok()) {
    record.cgroup_parent = cgroups_.ParentOf(*cgroup_path);
    record.owed.insert({store::Debt::kProcesses, store::Debt::kCgroup});
  }
  CRISP_RETURN_IF_ERROR(sandbox_records_.Write(id, store::Encode(record)));
  return RecoverSandbox(std::move(record));
}

void Service::ReclaimContainer(const std::string& id) {
  const absl::StatusOr<std::string> cgroup_path = BundleCgroup(paths_.Bundle(id));
  if (!cgroup_path.ok()) return;
  (void)cgroups_.Kill(*cgroup_path);
  (void)cgroups_.Remove(*cgroup_path, kKillTime);
}

}  // namespace crisp::cri
