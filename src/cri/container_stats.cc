#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cri/filters.h"
#include "cri/service.h"

namespace crisp::cri {
namespace {

void Set(const cgroup::Count& from, v1::UInt64Value* (v1::MemoryUsage::*to)(),
         v1::MemoryUsage& memory) {
  if (from.has_value()) (memory.*to)()->set_value(*from);
}

void FillCgroup(const cgroup::Stats& stats, int64_t now, v1::ContainerStats& message) {
  v1::CpuUsage& cpu = *message.mutable_cpu();
  cpu.set_timestamp(now);
  if (stats.cpu.usage_ns.has_value())
    cpu.mutable_usage_core_nano_seconds()->set_value(*stats.cpu.usage_ns);
  v1::MemoryUsage& memory = *message.mutable_memory();
  memory.set_timestamp(now);
  Set(stats.memory.working_set_bytes, &v1::MemoryUsage::mutable_working_set_bytes, memory);
  Set(stats.memory.available_bytes, &v1::MemoryUsage::mutable_available_bytes, memory);
  Set(stats.memory.usage_bytes, &v1::MemoryUsage::mutable_usage_bytes, memory);
  Set(stats.memory.rss_bytes, &v1::MemoryUsage::mutable_rss_bytes, memory);
  Set(stats.memory.page_faults, &v1::MemoryUsage::mutable_page_faults, memory);
  Set(stats.memory.major_page_faults, &v1::MemoryUsage::mutable_major_page_faults, memory);
  if (stats.memory.swap_bytes.has_value()) {
    message.mutable_swap()->set_timestamp(now);
    message.mutable_swap()->mutable_swap_usage_bytes()->set_value(*stats.memory.swap_bytes);
  }
}

}  // namespace

v1::ContainerStats Service::StatsOf(const container::Container& container) {
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
  if (stats.ok()) FillCgroup(*stats, now, message);
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
