// StartContainer: shim, which prepares the container -> cgroup with limits -> the container's first
// process runs.
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/status_macros.h"
#include "layers/image_volumes.h"
#include "linux/syscalls.h"
#include "runtime/bundle.h"
#include "runtime/containers.h"
#include "shim_client/session.h"
#include "spec/resources.h"

namespace crisp::runtime {
namespace {

// The container's start is over within this, however long the client waits.
constexpr absl::Duration kLongest = absl::Minutes(2);

}  // namespace

absl::StatusOr<shim::v1::Start> Containers::StartRequest(const store::ContainerRecord& record,
                                                         const std::string& cgroup_path) const {
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox,
                         core_.objects.sandboxes.Find(record.sandbox_id.str()));
  const std::optional<linux::ProcessRef> pause = sandbox->pause();
  if (!sandbox->ready() || !pause.has_value())
    return absl::FailedPreconditionError("its sandbox is not ready");
  CRISP_ASSIGN_OR_RETURN(const container::Init target, Target(sandbox->id(), record.config));
  CRISP_ASSIGN_OR_RETURN(
      const snapshot::RootfsView view,
      core_.snapshots.ContainerView(
          record.id.str(), record.chain_ids.empty() ? oci::ChainId() : record.chain_ids.back()));
  shim::v1::Start start = StartMessage(core_.cgroups, cgroup_path);
  layers::FillRootfs(view, *start.mutable_rootfs());
  CRISP_RETURN_IF_ERROR(layers::AddImageMounts(core_.snapshots, record.image_volumes, start));
  start.set_log_path(record.log_path);
  start.set_stdin(record.config.stdin());
  start.set_stdin_once(record.config.stdin_once());
  start.set_sandbox_pid(pause->pid);
  start.set_sandbox_start_ticks(pause->start_ticks);
  start.set_target_pid(target.process.pid);
  start.set_target_start_ticks(target.process.start_ticks);
  return start;
}

absl::Status Containers::Launch(container::Container& container, base::Deadline deadline) {
  const store::ContainerRecord record = container.record();
  const std::string cgroup_path = core_.CgroupPath(container);
  const std::string bundle = core_.paths.Bundle(record.id);
  CRISP_ASSIGN_OR_RETURN(const shim::v1::Start start, StartRequest(record, cgroup_path));
  CRISP_ASSIGN_OR_RETURN(const oci::Spec spec, ReadSpec(bundle));
  CRISP_ASSIGN_OR_RETURN(const cgroup::Resources limits,
                         spec::CgroupResources(record.resources, spec.linux_));
  CRISP_ASSIGN_OR_RETURN(shim_client::LaunchedShim shim,
                         core_.shims.Launch(bundle, record.id.str()));
  base::Failpoint("start container: shim launched");
  absl::StatusOr<shim_client::PendingStart> pending =
      shim_client::PendingStart::Ask(std::move(shim.operation), start);
  // While the shim prepares the container.
  absl::Status made = pending.status();
  if (made.ok()) made = base::Prefix(core_.cgroups.Create(cgroup_path, limits), "create cgroup");
  base::Failpoint("start container: cgroup made");
  if (!made.ok()) {
    (void)linux::SendSignal(shim.pidfd.get(), SIGKILL);  // nothing of the container runs yet
    (void)core_.monitor.WatchProcess("", std::move(shim.pidfd));
    return made;
  }
  const absl::StatusOr<shim::v1::Started> started = pending->Run(deadline);
  if (started.ok()) {
    container.MarkStarted(InitOf(*started));
    base::Failpoint("start container: runs");
    core_.Announce(Change::kStarted, container);
  }
  // Also after a failure: the monitor reaps the shim. A container that ended at once is found by
  // OnGone, which comes after MarkStarted.
  CRISP_RETURN_IF_ERROR(
      core_.monitor.Watch(record.id.str(), std::move(shim.tether), std::move(shim.pidfd)));
  base::Failpoint("start container: shim watched");
  return started.status();
}

void Containers::RecordStartError(const ContainerPtr& container, const absl::Status& why) {
  base::Failpoint("start container: failed");
  const bool oom_killed = shim_client::IsOomKilled(why);
  core_.MarkExited(container, {.started_at_ns = 0,
                               .finished_at_ns = base::WallNanos(),
                               .exit_code = oom_killed ? 137 : 128,
                               .reason = oom_killed ? "OOMKilled" : "StartError",
                               .message = std::string(why.message())});
  const std::string cgroup_path = core_.CgroupPath(*container);
  // Until the cgroup is gone: a shim that was killed may have cloned in its last moment.
  const auto remove = [this, cgroup_path] {
    (void)core_.cgroups.Kill(cgroup_path);
    return core_.cgroups.Remove(cgroup_path, absl::Seconds(1)).ok();
  };
  if (!remove()) core_.background.Add(absl::StrCat("cgroup ", container->id().str()), remove);
}

absl::Status Containers::Start(const ContainerPtr& container, const base::Call& call) {
  absl::MutexLock lock(&container->operation());
  CRISP_RETURN_IF_ERROR(core_.objects.containers.Find(container->id().str()).status());  // removed
  const v1::ContainerState state = container->state();
  if (state == v1::CONTAINER_RUNNING)
    return absl::OkStatus();  // a retry whose first answer got lost
  if (state != v1::CONTAINER_CREATED)
    return absl::FailedPreconditionError("it has ended, and a container starts only once");
  const absl::Status status =
      Launch(*container, call.Before(base::Deadline::In(kLongest)).deadline);
  core_.shims.PrepareNext();
  if (status.ok() || absl::IsFailedPrecondition(status)) return status;  // the latter: not tried
  RecordStartError(container, status);
  return base::Prefix(status,
                      absl::StrCat("start container ", container->id().str().substr(0, 12)));
}

}  // namespace crisp::runtime
