#include "base/errno.h"
#include "base/status_macros.h"
#include "cri/handlers.h"
#include "spec/resources.h"

namespace crisp::cri {

absl::StatusOr<v1::UpdateContainerResourcesResponse> UpdateContainerResources(
    const Api& runtime, const v1::UpdateContainerResourcesRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::ContainerPtr container,
                         runtime.objects.containers.Find(request.container_id()));
  CRISP_RETURN_IF_ERROR(spec::CgroupUpdate(request.linux()).status());
  CRISP_RETURN_IF_ERROR(base::Prefix(runtime.containers.Update(container, request.linux()),
                                     "update container resources"));
  return v1::UpdateContainerResourcesResponse();
}

}  // namespace crisp::cri
