#include "base/status_macros.h"
#include "cri/filters.h"
#include "cri/handlers.h"
#include "cri/stats_message.h"

namespace crisp::cri {
namespace {

v1::ContainerStats StatsOf(const Api& runtime, container::Container& container) {
  return StatsMessage(container, runtime.stats.Container(container), runtime.stats.LayersRoot());
}

}  // namespace

absl::StatusOr<v1::ContainerStatsResponse> ContainerStats(const Api& runtime,
                                                          const v1::ContainerStatsRequest& request,
                                                          const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::ContainerPtr container,
                         runtime.objects.containers.Find(request.container_id()));
  runtime.stats.Refresh({container}, {});
  v1::ContainerStatsResponse response;
  *response.mutable_stats() = StatsOf(runtime, *container);
  return response;
}

absl::StatusOr<v1::ListContainerStatsResponse> ListContainerStats(
    const Api& runtime, const v1::ListContainerStatsRequest& request, const Call&) {
  const v1::ContainerStatsFilter& filter = request.filter();
  std::vector<runtime::ContainerPtr> containers;
  for (const runtime::ContainerPtr& container : runtime.objects.containers.List()) {
    if (!IdMatches(filter.id(), container->id().str()) ||
        !IdMatches(filter.pod_sandbox_id(), container->sandbox_id().str())) {
      continue;
    }
    const bool labels_match = container->Read([&](const store::ContainerRecord& record) {
      return LabelsMatch(filter.label_selector(), record.config.labels());
    });
    if (labels_match && container->state() != v1::CONTAINER_EXITED) containers.push_back(container);
  }
  runtime.stats.Refresh(containers, {});
  v1::ListContainerStatsResponse response;
  for (const runtime::ContainerPtr& container : containers)
    *response.add_stats() = StatsOf(runtime, *container);
  return response;
}

}  // namespace crisp::cri
