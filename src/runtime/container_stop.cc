// StopContainer: stop signal -> grace -> SIGKILL to the whole cgroup. Works without a live shim.
// RemoveContainer: the same without grace, then what the container holds is given back.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "layers/image_volumes.h"
#include "runtime/bundle.h"
#include "runtime/containers.h"
#include "runtime/pod_files.h"
#include "spec/container_spec.h"

namespace crisp::runtime {
namespace {

// How long a shim may live on without its container. It gives listeners that do not read 2 s
// (kLastOutputNs in shim/supervisor.cc) and then writes what is left in the pipes to the log:
// killing it earlier would lose the container's last lines.
constexpr absl::Duration kShimEndTime = absl::Seconds(5);
// Most shims report the end this fast; only then is it worth asking the cgroup.
constexpr absl::Duration kUsualEndTime = absl::Seconds(2);

// Until a start that is under way is over: the process it makes must be stopped too.
void AwaitStart(container::Container& container) {
  if (container.state() == v1::CONTAINER_CREATED) absl::MutexLock lock(&container.operation());
}

}  // namespace

absl::Status Containers::Kill(container::Container& container, base::Deadline deadline) {
  AwaitStart(container);
  if (!container.running()) return absl::OkStatus();
  const std::string cgroup_path = core_.CgroupPath(container);
  CRISP_RETURN_IF_ERROR(core_.cgroups.Kill(cgroup_path));
  base::Failpoint("kill container: killed");
  if (container.WaitExited(base::Deadline::In(kUsualEndTime))) return absl::OkStatus();
  // Dead or not, its shim did not say so. The shim has its time from when nothing is left of the
  // container; after that it is killed, and the exit is recorded without it (exits.cc).
  CRISP_RETURN_IF_ERROR(core_.cgroups.WaitEmpty(cgroup_path, kKillTime));
  if (container.WaitExited(base::Deadline::In(kShimEndTime))) return absl::OkStatus();
  core_.monitor.KillShim(container.id().str());
  if (container.WaitExited(std::min(deadline, base::Deadline::In(kKillTime))))
    return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("container ", container.id().str(), " did not end after SIGKILL"));
}

absl::Status Containers::KillOf(const base::SandboxId& sandbox, base::Deadline deadline) {
  // All are killed before the first is waited for.
  for (const ContainerPtr& container : core_.objects.ContainersOf(sandbox)) {
    if (container->running()) (void)core_.cgroups.Kill(core_.CgroupPath(*container));
  }
  for (const ContainerPtr& container : core_.objects.ContainersOf(sandbox))
    CRISP_RETURN_IF_ERROR(Kill(*container, deadline));
  return absl::OkStatus();
}

// Takes no operation lock: a second call with a shorter grace must be able to cut the first one's
// short.
absl::Status Containers::Stop(const ContainerPtr& container, absl::Duration grace,
                              const base::Call& call) {
  AwaitStart(*container);
  const std::optional<container::Init> init = container->init();
  if (!container->running() || !init.has_value()) return absl::OkStatus();
  if (grace > absl::ZeroDuration()) {
    const std::string name =
        container->Read([](const store::ContainerRecord& r) { return r.stop_signal; });
    CRISP_ASSIGN_OR_RETURN(const int signal, spec::SignalNumber(name));
    if (container->TakeStopSignal()) {
      const absl::Status sent = init->process.Signal(signal);
      if (!sent.ok()) {
        container->ReturnStopSignal();
        return base::Prefix(sent, "stop signal");
      }
    }
    base::Failpoint("stop container: signal sent");
    if (container->WaitExited(call.Before(base::Deadline::In(grace))).ok()) return absl::OkStatus();
    const absl::Status caller = call.Check();
    if (!caller.ok()) return base::Prefix(caller, "container is still stopping");
  }
  return Kill(*container, call.deadline);
}

absl::Status Containers::Remove(const ContainerPtr& container, const base::Call& call) {
  const base::Deadline deadline = call.Before(base::Deadline::In(kTeardownTime)).deadline;
  CRISP_RETURN_IF_ERROR(Kill(*container, deadline));
  absl::MutexLock lock(&container->operation());
  const std::string& id = container->id().str();
  if (!core_.objects.containers.Find(id).ok()) return absl::OkStatus();  // another call removed it
  if (container->running())
    return absl::FailedPreconditionError("container was started while it was removed");
  // Its end is seen already but may not be announced yet.
  if (container->state() == v1::CONTAINER_EXITED && !container->WaitExited(deadline))
    return absl::DeadlineExceededError("its end is still being recorded");
  const std::string cgroup_path = core_.CgroupPath(*container);
  base::Failpoint("remove container: ended");
  CRISP_RETURN_IF_ERROR(core_.cgroups.Kill(cgroup_path));
  CRISP_RETURN_IF_ERROR(core_.cgroups.Remove(cgroup_path, kKillTime));
  base::Failpoint("remove container: cgroup gone");
  const absl::StatusOr<SandboxPtr> sandbox =
      core_.objects.sandboxes.Find(container->sandbox_id().str());
  if (sandbox.ok()) RemoveContainerLink(**sandbox, core_.paths, container->id());
  CRISP_RETURN_IF_ERROR(core_.snapshots.RemoveContainer(id));
  base::Failpoint("remove container: writable layer gone");
  // The record first: how the container ended may so far be only in the bundle.
  CRISP_RETURN_IF_ERROR(core_.container_records.Remove(id));
  base::Failpoint("remove container: record gone");
  CRISP_RETURN_IF_ERROR(base::RemoveTree(core_.paths.Bundle(container->id())));
  base::Failpoint("remove container: bundle gone");
  core_.objects.containers.Remove(*container);
  core_.Announce(Change::kRemoved, *container);
  core_.layer_use.Release(container->Read(layers::UsedLayers));
  return absl::OkStatus();
}

}  // namespace crisp::runtime
