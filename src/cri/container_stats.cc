#include "base/clock.h"
#include "base/status_macros.h"
#include "cri/filters.h"
#include "cri/stats_message.h"
#include "runtime/runtime.h"

namespace crisp::cri {

v1::ContainerStats Service::StatsOf(container::Container& container) {
  const int64_t now = base::WallNanos();
  v1::ContainerStats message;
  container.Read([&](const store::ContainerRecord& record) {
    v1::ContainerAttributes& attributes = *message.mutable_attributes();
    attributes.set_id(record.id);
    *attributes.mutable_metadata() = record.config.metadata();
    *attributes.mutable_labels() = record.config.labels();
    *attributes.mutable_annotations() = record.config.annotations();
  });
  // What vanished meanwhile or never ran has no numbers; it does not fail the list.
  const absl::StatusOr<cgroup::Stats> stats = cgroups_.ReadStats(CgroupPath(container));
  if (stats.ok()) {
    std::optional<uint64_t> nano_cores;
    if (stats->cpu.usage_ns.has_value())
      nano_cores = container.cpu_rate().Update(*stats->cpu.usage_ns, base::MonotonicNanos());
    FillCpu(*stats, nano_cores, now, *message.mutable_cpu());
    FillMemory(*stats, now, *message.mutable_memory());
    if (stats->memory.swap_bytes.has_value()) FillSwap(*stats, now, *message.mutable_swap());
    if (stats->io_pressure.has_value()) FillIo(*stats, now, *message.mutable_io());
  }
  const absl::StatusOr<snapshot::Usage> usage = snapshots_.ContainerUsage(container.id());
  if (usage.ok()) {
    v1::FilesystemUsage& layer = *message.mutable_writable_layer();
    layer.set_timestamp(now);
    layer.mutable_fs_id()->set_mountpoint(snapshots_.root());
    layer.mutable_used_bytes()->set_value(usage->bytes);
    layer.mutable_inodes_used()->set_value(usage->inodes);
  }
  return message;
}

absl::StatusOr<v1::ContainerStatsResponse> Service::ContainerStats(
    const v1::ContainerStatsRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const ContainerPtr container, containers_.Find(request.container_id()));
  v1::ContainerStatsResponse response;
  *response.mutable_stats() = StatsOf(*container);
  return response;
}

absl::StatusOr<v1::ListContainerStatsResponse> Service::ListContainerStats(
    const v1::ListContainerStatsRequest& request, const Call&) {
  const v1::ContainerStatsFilter& filter = request.filter();
  v1::ListContainerStatsResponse response;
  for (const ContainerPtr& container : containers_.List()) {
    if (!IdMatches(filter.id(), container->id()) ||
        !IdMatches(filter.pod_sandbox_id(), container->sandbox_id())) {
      continue;
    }
    const bool labels_match = container->Read([&](const store::ContainerRecord& record) {
      return LabelsMatch(filter.label_selector(), record.config.labels());
    });
    if (labels_match && container->state() != v1::CONTAINER_EXITED)
      *response.add_stats() = StatsOf(*container);
  }
  return response;
}

}  // namespace crisp::cri
