#include <algorithm>

#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/handlers.h"

namespace crisp::cri {

absl::StatusOr<v1::StopContainerResponse> StopContainer(const Api& runtime,
                                                        const v1::StopContainerRequest& request,
                                                        const Call& call) {
  const absl::StatusOr<runtime::ContainerPtr> container =
      runtime.objects.containers.Find(request.container_id());
  if (absl::IsNotFound(container.status())) return v1::StopContainerResponse();
  CRISP_RETURN_IF_ERROR(container.status());
  const absl::Duration grace = absl::Seconds(std::max<int64_t>(0, request.timeout()));
  CRISP_RETURN_IF_ERROR(
      base::Prefix(runtime.containers.Stop(*container, grace, call), "stop container"));
  return v1::StopContainerResponse();
}

}  // namespace crisp::cri
