#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::RemoveContainerResponse> RemoveContainer(
    const Api& runtime, const v1::RemoveContainerRequest& request, const Call& call) {
  const absl::StatusOr<runtime::ContainerPtr> container =
      runtime.objects.containers.Find(request.container_id());
  if (absl::IsNotFound(container.status())) return v1::RemoveContainerResponse();
  CRISP_RETURN_IF_ERROR(container.status());
  CRISP_RETURN_IF_ERROR(
      base::Prefix(runtime.containers.Remove(*container, call), "remove container"));
  return v1::RemoveContainerResponse();
}

}  // namespace crisp::cri
