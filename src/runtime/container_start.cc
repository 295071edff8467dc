// StartContainer: cgroup with limits -> shim -> the container's first process runs.
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "layers/image_volumes.h"
#include "oci/runtime_spec_codec.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"
#include "shim_client/session.h"
#include "spec/resources.h"

namespace crisp::cri {
namespace {

// The container's start is over within this, whatever the client waits for.
constexpr absl::Duration kLongest = absl::Minutes(2);

container::Init InitOf(const shim::v1::Started& started) {
  container::Init init{.pid = started.pid(),
                       .start_ticks = started.start_ticks(),
                       .started_at_ns = started.started_at_ns(),
                       .phases = {}};
  for (const shim::v1::Phase& phase : started.phases())
    init.phases.emplace_back(phase.name(), phase.duration_ns());
  return init;
}

}  // namespace

std::string Service::CgroupPath(const container::Container& container) const {
  const absl::StatusOr<SandboxPtr> sandbox = sandboxes_.Find(container.sandbox_id());
  // A container can outlive what is known of its sandbox: a damaged record.
  if (!sandbox.ok()) return BundleCgroup(paths_.Bundle(container.id())).value_or("");
  const std::string parent =
      (*sandbox)->Read([](const store::SandboxRecord& r) { return r.cgroup_parent; });
  // The sandbox's own path was valid, so this one is.
  return cgroups_.Path(parent, container.id()).value_or("");
}

absl::Status Service::Launch(container::Container& container, absl::Time deadline) {
  const store::ContainerRecord record = container.record();
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, sandboxes_.Find(record.sandbox_id));
  const std::optional<sandbox::Pause> pause = sandbox->pause();
  if (!sandbox->ready() || !pause.has_value())
    return absl::FailedPreconditionError("its sandbox is not ready");
  CRISP_ASSIGN_OR_RETURN(const container::Init target, Target(sandbox->id(), record.config));
  const std::string bundle = paths_.Bundle(record.id);
  CRISP_ASSIGN_OR_RETURN(const oci::Spec spec, ReadSpec(bundle));
  CRISP_ASSIGN_OR_RETURN(const cgroup::Resources limits,
                         spec::CgroupResources(record.resources, spec.linux_));
  const std::string cgroup_path = CgroupPath(container);
  CRISP_RETURN_IF_ERROR(base::Prefix(cgroups_.Create(cgroup_path, limits), "create cgroup"));
  CRISP_ASSIGN_OR_RETURN(
      const snapshot::RootfsView view,
      snapshots_.ContainerView(
          record.id, record.chain_ids.empty() ? oci::ChainId() : record.chain_ids.back()));

  shim::v1::Start start = StartMessage(cgroups_, cgroup_path);
  FillRootfs(view, *start.mutable_rootfs());
  CRISP_RETURN_IF_ERROR(AddImageMounts(snapshots_, record.image_volumes, start));
  start.set_log_path(record.log_path);
  start.set_stdin(record.config.stdin());
  start.set_stdin_once(record.config.stdin_once());
  start.set_sandbox_pid(pause->pid);
  start.set_sandbox_start_ticks(pause->start_ticks);
  start.set_target_pid(target.pid);
  start.set_target_start_ticks(target.start_ticks);
  CRISP_ASSIGN_OR_RETURN(shim_client::LaunchedShim shim, shims_.Launch(bundle, record.id));
  absl::StatusOr<shim::v1::Started> started =
      shim_client::Start(shim.operation, start, nullptr, MonotonicDeadline(deadline));
  if (started.ok()) {
    container.MarkStarted(InitOf(*started));
    Announce(v1::CONTAINER_STARTED_EVENT, container);
  }
  // Also after a failure: the monitor reaps the shim. A container that ended at once is found by
  // OnShimGone, which comes after MarkStarted.
  shim.operation.Close();
  CRISP_RETURN_IF_ERROR(monitor_.Watch(record.id, std::move(shim.tether), std::move(shim.pidfd)));
  return started.status();
}

absl::StatusOr<v1::StartContainerResponse> Service::StartContainer(
    const v1::StartContainerRequest& request, const Call& call) {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, containers_.Find(request.container_id()));
  absl::MutexLock lock(&container->operation());
  const v1::ContainerState state = container->state();
  if (state == v1::CONTAINER_RUNNING)
    return v1::StartContainerResponse();  // a retry whose first answer got lost
  if (state != v1::CONTAINER_CREATED) {
    return absl::FailedPreconditionError(
        absl::StrCat("container is ", v1::ContainerState_Name(state), ", not CONTAINER_CREATED"));
  }
  const absl::Status status = Launch(*container, std::min(call.deadline, absl::Now() + kLongest));
  if (status.ok()) return v1::StartContainerResponse();
  if (absl::IsFailedPrecondition(status)) return status;  // nothing was tried
  const int64_t now = base::WallNanos();
  (void)container->MarkExited({.started_at_ns = 0,
                               .finished_at_ns = now,
                               .exit_code = 128,
                               .reason = "StartError",
                               .message = std::string(status.message())},
                              [&] { Announce(v1::CONTAINER_STOPPED_EVENT, *container); });
  const std::string cgroup_path = CgroupPath(*container);
  // Again and again: a shim that was killed may have cloned in its last moment.
  const auto remove = [this, cgroup_path] {
    (void)cgroups_.Kill(cgroup_path);
    return cgroups_.Remove(cgroup_path, absl::Seconds(1)).ok();
  };
  if (!remove()) background_.Add(absl::StrCat("cgroup ", container->id()), remove);
  return base::Prefix(status, absl::StrCat("start container ", container->id().substr(0, 12)));
}

}  // namespace crisp::cri
