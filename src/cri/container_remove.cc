#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "layers/image_volumes.h"
#include "runtime/bundle.h"
#include "runtime/runtime.h"

namespace crisp::cri {

absl::Status Service::RemoveOne(const ContainerPtr& container, absl::Time give_up) {
  CRISP_RETURN_IF_ERROR(KillOne(*container, give_up));
  absl::MutexLock lock(&container->operation());
  if (!containers_.Find(container->id()).ok()) return absl::OkStatus();  // another call was faster
  if (container->running())
    return absl::FailedPreconditionError("container was started while it was removed");
  // Its end is seen already but may not be announced yet.
  if (container->state() == v1::CONTAINER_EXITED && !container->WaitExited(give_up))
    return absl::DeadlineExceededError("its end is still being recorded");
  const std::string cgroup_path = CgroupPath(*container);
  CRISP_RETURN_IF_ERROR(cgroups_.Kill(cgroup_path));
  CRISP_RETURN_IF_ERROR(cgroups_.Remove(cgroup_path, kKillTime));
  CRISP_RETURN_IF_ERROR(snapshots_.RemoveContainer(container->id()));
  CRISP_RETURN_IF_ERROR(base::RemoveTree(paths_.Bundle(container->id())));
  CRISP_RETURN_IF_ERROR(container_records_.Remove(container->id()));
  containers_.Remove(container->id());
  Announce(v1::CONTAINER_DELETED_EVENT, *container);
  layer_use_.Release(container->Read(UsedLayers));
  return absl::OkStatus();
}

absl::StatusOr<v1::RemoveContainerResponse> Service::RemoveContainer(
    const v1::RemoveContainerRequest& request, const Call& call) {
  absl::StatusOr<ContainerPtr> container = containers_.Find(request.container_id());
  if (absl::IsNotFound(container.status())) return v1::RemoveContainerResponse();
  CRISP_RETURN_IF_ERROR(container.status());
  const absl::Time give_up = std::min(call.deadline, absl::Now() + kTeardownTime);
  CRISP_RETURN_IF_ERROR(base::Prefix(RemoveOne(*container, give_up), "remove container"));
  return v1::RemoveContainerResponse();
}

}  // namespace crisp::cri
