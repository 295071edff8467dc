#include "runtime/recovery.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "ipc/channel.h"
#include "layers/image_volumes.h"
#include "linux/open_files.h"
#include "linux/reap.h"
#include "runtime/bundle.h"
#include "shim_client/facts.h"

namespace crisp::runtime {
namespace {

using base::LogLevel;
using Names = std::vector<std::string>;

// A shim whose crispd died during Start either finishes the start or kills the child; it needs no
// longer than this after the death of crispd, so all of them together get no more.
constexpr absl::Duration kSettleTime = absl::Seconds(2);
constexpr absl::Duration kWatchAgain = absl::Seconds(2);

// What is left of a container: its facts, and the tether of its shim if that lives.
struct Found {
  std::optional<shim::v1::Started> started;
  absl::Status damage;  // why init.json, which is there, cannot be read
  ipc::Channel tether;
  bool unreachable = false;  // the shim may live, but does not take connections now

  bool alive() const { return tether.valid() || unreachable; }
};

// No process listens: the socket is a dead shim's, of this boot or an earlier one, or is missing.
bool IsGone(const absl::Status& connect) {
  return absl::IsUnavailable(connect) || absl::IsNotFound(connect);
}

// What is watched is kept open, and takes at most three quarters of the descriptors that crispd may
// have: with the others it reads what is on disk, and serves. kResourceExhausted beyond.
absl::Status CheckKept(int fd) {
  const std::optional<uint64_t> limit = linux::MaxOpenFiles(getpid());
  if (limit.has_value() && static_cast<uint64_t>(fd) >= *limit / 4 * 3)
    return absl::ResourceExhaustedError("too few descriptors to watch one more process");
  return absl::OkStatus();
}

absl::StatusOr<ipc::Channel> ConnectTether(const std::string& bundle) {
  CRISP_ASSIGN_OR_RETURN(ipc::Channel tether,
                         ipc::Connect(base::JoinPath(bundle, base::kShimSocket)));
  CRISP_RETURN_IF_ERROR(CheckKept(tether.fd()));
  return tether;
}

absl::StatusOr<shim::v1::Started> ReadInit(const std::string& bundle) {
  absl::StatusOr<shim::v1::Started> started = shim_client::ReadInit(bundle);
  if (started.ok() && started->pid() <= 0)
    return absl::InvalidArgumentError(absl::StrCat("init.json: pid ", started->pid()));
  return started;
}

// Of the shim that wrote init.json; invalid when it is gone (its pid may be another's by now).
base::UniqueFd ShimPidfd(const std::string& bundle) {
  const absl::StatusOr<shim::v1::Started> started = ReadInit(bundle);
  if (!started.ok()) return base::UniqueFd();
  const linux::ProcessRef shim = {.pid = started->shim_pid(),
                                  .start_ticks = started->shim_start_ticks()};
  absl::StatusOr<base::UniqueFd> pidfd = shim.Open();
  return pidfd.ok() ? *std::move(pidfd) : base::UniqueFd();
}

// init.json of a shim that lives. Without it a start is under way whose crispd died; it is over
// soon, unless the shim is stopped (SIGSTOP).
absl::StatusOr<shim::v1::Started> AwaitInit(const std::string& bundle, const ipc::Channel& tether,
                                            base::Deadline give_up) {
  absl::StatusOr<shim::v1::Started> started = ReadInit(bundle);
  pollfd fd = {tether.fd(), POLLIN | POLLRDHUP, 0};
  while (!started.ok() && !give_up.Passed() && poll(&fd, 1, 20) == 0) started = ReadInit(bundle);
  return started.ok() ? started : ReadInit(bundle);
}

// kResourceExhausted when that cannot be told now.
absl::StatusOr<Found> Look(const std::string& bundle, base::Deadline settled) {
  Found found;
  absl::StatusOr<ipc::Channel> tether = ConnectTether(bundle);
  absl::StatusOr<shim::v1::Started> started =
      tether.ok() ? AwaitInit(bundle, *tether, settled) : ReadInit(bundle);
  if (absl::IsResourceExhausted(started.status())) return started.status();
  if (tether.ok()) {
    found.tether = *std::move(tether);
  } else {
    found.unreachable = !IsGone(tether.status());
  }
  if (started.ok()) {
    found.started = *std::move(started);
  } else if (!absl::IsNotFound(started.status())) {
    found.damage = started.status();
  }
  return found;
}

// A container that has ended never starts again.
bool MayRunOn(const container::Container& container, const snapshot::DamagedLayer& layer) {
  return container.Read([&](const store::ContainerRecord& record) {
    if (record.outcome.has_value()) return false;
    const std::vector<oci::ChainId> used = layers::UsedLayers(record);
    return layer.chain_id.empty() ||
           std::find(used.begin(), used.end(), layer.chain_id) != used.end();
  });
}

// Decodes a record and hands it on.
template <typename Record>
auto Reader(std::function<absl::Status(Record)> recover) {
  return [recover = std::move(recover)](const std::string& id, absl::string_view text) {
    Record record;
    CRISP_RETURN_IF_ERROR(store::Decode(text, record));
    if (record.id.str() != id) return absl::InvalidArgumentError("record of another id");
    return recover(std::move(record));
  };
}

void LogDamaged(absl::string_view noun, const store::Damaged& damaged) {
  // A create or remove that was cut short, or somebody deleted the record.
  if (absl::IsNotFound(damaged.why)) {
    base::Log(LogLevel::kWarning, absl::StrCat(noun, " without a record, ending what is left"),
              {{noun, damaged.id}});
    return;
  }
  base::Log(LogLevel::kError, absl::StrCat("damaged ", noun, " record, to be quarantined"),
            {{noun, damaged.id}, {"error", std::string(damaged.why.message())}});
}

void LogIfStays(const absl::Status& set_aside) {
  if (set_aside.ok()) return;
  base::Log(LogLevel::kWarning, "a damaged record stays in its place",
            {{"error", std::string(set_aside.message())}});
}

}  // namespace

void Recovery::MarkLost(const ContainerPtr& container, const absl::Status& why) {
  base::Log(LogLevel::kError, "a container is lost",
            {{"container", container->id().str()}, {"error", std::string(why.message())}});
  core_.MarkExited(container, {.started_at_ns = 0,
                               .finished_at_ns = base::WallNanos(),
                               .exit_code = 255,
                               .reason = "Unknown",
                               .message = std::string(why.message())});
}

// A shim that lives is about to start the pause, and ends then. One of an older crispd stays as
// long as the pause, and is of no interest.
absl::Status Recovery::RecoverSandbox(store::SandboxRecord record) {
  auto sandbox = std::make_shared<sandbox::Sandbox>(std::move(record), &core_.sandbox_records);
  const std::string& id = sandbox->id().str();
  CRISP_ASSIGN_OR_RETURN(const Found found, Look(core_.paths.Bundle(sandbox->id()), settled_));
  linux::ProcessRef pause;
  base::UniqueFd pidfd;
  if (found.started.has_value()) {
    pause = {.pid = found.started->pid(), .start_ticks = found.started->start_ticks()};
    absl::StatusOr<base::UniqueFd> opened = pause.Open();
    if (absl::IsResourceExhausted(opened.status())) return opened.status();
    // Without its cgroup it is one of an earlier boot, whose pid may be another's.
    if (opened.ok() && !linux::AwaitEnd(opened->get(), base::Deadline::At(0)) &&
        core_.HasCgroup(*sandbox)) {
      pidfd = *std::move(opened);
    }
  }
  const bool alive = pidfd.valid();
  if (alive) sandbox->MarkLaunched(pause);
  core_.objects.sandboxes.Add(sandbox);
  if (alive && !WatchPause(id, std::move(pidfd)).ok()) {
    WatchLater(id, [this, id, pause]() -> absl::Status {
      CRISP_ASSIGN_OR_RETURN(base::UniqueFd again, pause.Open());
      if (linux::AwaitEnd(again.get(), base::Deadline::At(0))) return absl::NotFoundError("ended");
      return WatchPause(id, std::move(again));
    });
  }
  if (sandbox->visible()) sandbox->MarkAnnounced([] {});
  return absl::OkStatus();
}

absl::Status Recovery::WatchPause(const std::string& id, base::UniqueFd pidfd) {
  CRISP_RETURN_IF_ERROR(CheckKept(pidfd.get()));
  return core_.monitor.WatchProcess(id, std::move(pidfd));
}

// Of every sandbox, once the containers are known too.
void Recovery::FinishTeardowns() {
  for (const SandboxPtr& sandbox : core_.objects.sandboxes.List()) {
    const bool acknowledged = sandbox->visible();
    const bool stopping = sandbox->Read([](const store::SandboxRecord& record) {
      return record.stopped && !record.pending_cleanup.empty();
    });
    // Never acknowledged: undo and forget. Stop was asked and is not finished: finish it.
    if (!acknowledged || stopping) sandboxes_.TeardownLater(sandbox, /*then_forget=*/!acknowledged);
  }
}

absl::Status Recovery::RecoverContainer(store::ContainerRecord record) {
  if (core_.objects.sandboxes.Find(record.id.str()).ok())
    return absl::InvalidArgumentError("a sandbox has this id");
  {
    absl::MutexLock lock(&core_.layer_use.mu());
    core_.layer_use.Add(layers::UsedLayers(record));
  }
  const std::string bundle = core_.paths.Bundle(record.id);
  const bool ended = record.outcome.has_value();
  auto container =
      std::make_shared<container::Container>(std::move(record), &core_.container_records);
  core_.objects.containers.Add(container);
  if (ended) return absl::OkStatus();
  CRISP_ASSIGN_OR_RETURN(Found found, Look(bundle, settled_));
  if (!found.started.has_value() && access(bundle.c_str(), F_OK) != 0) {
    // Whether it ran or was still to be started, it never will again.
    found.damage = absl::NotFoundError("its directory in /run is gone with the host's restart");
  }
  if (!found.damage.ok()) MarkLost(container, found.damage);
  if (!found.started.has_value()) {
    // CREATED, or a start that never happened, whose cgroup would be in the way of the next.
    (void)EmptyCgroup(core_.CgroupPath(*container));
    return absl::OkStatus();
  }
  container->MarkStarted(InitOf(*found.started));
  if (!found.alive()) {
    exits_.EndContainer(container);
    return absl::OkStatus();
  }
  const std::string& id = container->id().str();
  if (!found.tether.valid() ||
      !core_.monitor.Watch(id, std::move(found.tether), ShimPidfd(bundle)).ok()) {
    base::Log(LogLevel::kWarning, "a shim cannot be watched now, trying again",
              {{"container", id}});
    WatchLater(id, [this, id, bundle] { return WatchShim(id, bundle); });
  }
  // crispd may have died between writing down an update and doing it.
  const absl::Status applied = containers_.ApplyResources(*container);
  if (!applied.ok() && !absl::IsNotFound(applied)) {
    base::Log(LogLevel::kWarning, "limits on record cannot be applied",
              {{"container", container->id().str()}, {"error", std::string(applied.message())}});
  }
  return absl::OkStatus();
}

// What has outlived a crispd and takes no connections now, or what crispd has no descriptor for, is
// tried again until it is watched, or `watch` says that it is gone (kNotFound). Without a growing
// pause: this is how the end of such a process is noticed.
void Recovery::WatchLater(const std::string& id, const std::function<absl::Status()>& watch) {
  const auto again = [this, id, watch] {
    const absl::Status watched = watch();
    if (absl::IsNotFound(watched)) {
      exits_.OnGone(id, std::nullopt);
    } else if (!watched.ok()) {
      WatchLater(id, watch);
    }
    return true;
  };
  core_.background.Add(absl::StrCat("watch ", id), again, kWatchAgain);
}

absl::Status Recovery::WatchShim(const std::string& id, const std::string& bundle) {
  absl::StatusOr<ipc::Channel> tether = ConnectTether(bundle);
  if (IsGone(tether.status())) return absl::NotFoundError(tether.status().message());
  CRISP_RETURN_IF_ERROR(tether.status());
  return core_.monitor.Watch(id, *std::move(tether), ShimPidfd(bundle));
}

// Kills what is left in a cgroup and removes it. All that is found at start shares one time limit,
// so that processes that do not die hold up the start only once.
absl::Status Recovery::EmptyCgroup(const std::string& path) {
  CRISP_RETURN_IF_ERROR(core_.cgroups.Kill(path));
  return core_.cgroups.Remove(path, emptied_.Left());
}

// `older`: the containers that this start has found; all damaged layers were moved aside before a
// later one could be made. False when some of those may still run on a layer.
bool Recovery::DeleteDamagedLayers(const std::vector<base::ContainerId>& older) {
  snapshot::DamagedLayers& damaged = core_.snapshots.damaged();
  damaged.Measure();
  for (const snapshot::DamagedLayer& layer : damaged.List()) {
    if (std::any_of(older.begin(), older.end(), [&](const base::ContainerId& id) {
          const absl::StatusOr<ContainerPtr> container = core_.objects.containers.Find(id.str());
          return container.ok() && MayRunOn(**container, layer);
        }))
      continue;
    if (damaged.Delete(layer.name).ok())  // else again later
      base::Log(LogLevel::kInfo, "damaged layer deleted", {{"layer", layer.name}});
  }
  return damaged.List().empty();
}

bool Recovery::IsKnown(const std::string& id) const {
  return core_.objects.sandboxes.Find(id).ok() || core_.objects.containers.Find(id).ok();
}

absl::Status Recovery::RemoveOrphanBundles() {
  for (const std::string& id : base::ListDir(core_.paths.Bundles()).value_or(Names())) {
    if (IsKnown(id)) continue;
    if (base::IsId(id) && access(cni::NetnsPath(id).c_str(), F_OK) == 0) {
      CRISP_RETURN_IF_ERROR(ReclaimSandbox({.id = id, .why = absl::NotFoundError("")}));
      continue;
    }
    ReclaimContainer(id, "bundle", [bundle = base::JoinPath(core_.paths.Bundles(), id)] {
      (void)base::RemoveTree(bundle);
    });
  }
  return absl::OkStatus();
}

// What a crash left before its record was committed, what quarantined records were about, and what
// still runs although the records are gone (an emptied root).
absl::Status Recovery::RemoveOrphans() {
  CRISP_RETURN_IF_ERROR(RemoveOrphanBundles());
  for (const std::string& id : base::ListDir(core_.paths.SandboxDirs()).value_or(Names())) {
    if (!IsKnown(id)) (void)base::RemoveTree(base::JoinPath(core_.paths.SandboxDirs(), id));
  }
  for (const std::string& id : core_.snapshots.Containers().value_or(Names())) {
    if (!IsKnown(id)) (void)core_.snapshots.RemoveContainer(id);
  }
  core_.layer_use.DeleteUnused();
  return absl::OkStatus();
}

absl::Status Recovery::LoadSandboxes() {
  CRISP_ASSIGN_OR_RETURN(
      const std::vector<store::Damaged> damaged,
      core_.sandbox_records.Load(Reader<store::SandboxRecord>(
          [this](store::SandboxRecord record) { return RecoverSandbox(std::move(record)); })));
  for (const store::Damaged& each : damaged) {
    LogDamaged("sandbox", each);
    if (base::IsId(each.id)) {
      CRISP_RETURN_IF_ERROR(ReclaimSandbox(each));
    } else {  // crispd makes no such name, so nothing belongs to it
      LogIfStays(core_.sandbox_records.SetAside(each));
    }
  }
  return absl::OkStatus();
}

absl::Status Recovery::LoadContainers() {
  CRISP_ASSIGN_OR_RETURN(
      const std::vector<store::Damaged> damaged,
      core_.container_records.Load(Reader<store::ContainerRecord>(
          [this](store::ContainerRecord record) { return RecoverContainer(std::move(record)); })));
  for (const store::Damaged& each : damaged) {
    LogDamaged("container", each);
    const auto forget = [this, each] { LogIfStays(core_.container_records.SetAside(each)); };
    // A bundle of this name may be a sandbox's, which is not to be killed.
    if (IsKnown(each.id)) {
      forget();
    } else {
      ReclaimContainer(each.id, "record", forget);
    }
  }
  return absl::OkStatus();
}

absl::Status Recovery::Run() {
  settled_ = base::Deadline::In(kSettleTime);
  emptied_ = base::Deadline::In(kKillTime);
  CRISP_RETURN_IF_ERROR(LoadSandboxes());
  base::Failpoint("crispd starts: sandboxes loaded");
  CRISP_RETURN_IF_ERROR(LoadContainers());
  base::Failpoint("crispd starts: containers loaded");
  CRISP_RETURN_IF_ERROR(RemoveOrphans());
  base::Failpoint("crispd starts: orphans removed");
  FinishTeardowns();
  base::Failpoint("crispd starts: teardowns queued");
  std::vector<base::ContainerId> older;
  for (const ContainerPtr& container : core_.objects.containers.List())
    older.push_back(container->id());
  core_.background.Add("damaged layers", [this, older] { return DeleteDamagedLayers(older); });
  return absl::OkStatus();
}

// In place of a record that could not be read: one of a sandbox that was never acknowledged, with
// all the cleanup that its id and its bundle still tell. A host-network pod has neither pin nor
// cached result. On a full disk it gets no new record: its bundle and the directory of its record
// stay until all is done, and lead a later start to it again. Only kResourceExhausted.
absl::Status Recovery::ReclaimSandbox(const store::Damaged& damaged) {
  const base::SandboxId id(damaged.id);
  store::SandboxRecord record;
  record.id = id;
  record.created_at_ns = base::WallNanos();
  record.netns_path = cni::NetnsPath(id.str());
  record.plugin_group = core_.PluginGroup(id);
  record.pending_cleanup = {store::Cleanup::kNetwork, store::Cleanup::kNetns};
  const absl::StatusOr<std::string> cgroup_path = core_.FindCgroup(id.str());
  if (absl::IsResourceExhausted(cgroup_path.status())) return cgroup_path.status();
  if (cgroup_path.ok()) {
    record.cgroup_parent = core_.cgroups.ParentOf(*cgroup_path);
    record.pending_cleanup.insert({store::Cleanup::kProcesses, store::Cleanup::kCgroup});
  }
  const absl::Status written = core_.sandbox_records.Replace(damaged, store::Encode(record));
  if (!written.ok()) {
    base::Log(LogLevel::kWarning, "going on without a new record",
              {{"sandbox", id.str()}, {"error", std::string(written.message())}});
  }
  return RecoverSandbox(std::move(record));
}

// `forget` removes the trail that has led here, once nothing is left: until then a later start must
// find it.
void Recovery::ReclaimContainer(const std::string& id, const char* trail,
                                const std::function<void()>& forget) {
  const absl::StatusOr<std::string> cgroup_path = core_.FindCgroup(id);
  if (absl::IsResourceExhausted(cgroup_path.status())) return;  // not known
  if (!cgroup_path.ok() || EmptyCgroup(*cgroup_path).ok()) return forget();
  core_.background.Add(absl::StrCat(trail, " of cgroup ", id), [this, path = *cgroup_path, forget] {
    if (!core_.cgroups.Remove(path, absl::Seconds(1)).ok()) return false;
    forget();
    return true;
  });
}

}  // namespace crisp::runtime
