#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "cgroup/processes.h"
#include "linux/block_device.h"
#include "linux/open_files.h"
#include "metrics/families.h"
#include "runtime/runtime.h"

namespace crisp::cri {
namespace {

MetricHost HostOf(const cgroup::Cgroups& cgroups) {
  // Pressure files exist in every group when the kernel keeps them at all.
  static const bool pressure = access("/proc/pressure/cpu", R_OK) == 0;
  return {.hugepages = cgroups.layout().Find("hugetlb") != nullptr &&
                       !cgroups.layout().hugepage_sizes.empty(),
          .pressure = pressure};
}

MetricLabels PodLabels(const store::SandboxRecord& pod, const std::string& cgroup_path) {
  return {.id = cgroup_path,
          .name = pod.id,
          .image = "",
          .container = "",
          .pod = pod.config.metadata().name(),
          .pod_namespace = pod.config.metadata().namespace_()};
}

MetricFilesystem FilesystemAt(const std::string& directory) {
  MetricFilesystem filesystem;
  struct stat info;
  if (stat(directory.c_str(), &info) == 0)
    filesystem.device = linux::BlockDeviceName(major(info.st_dev), minor(info.st_dev));
  struct statvfs numbers;
  if (statvfs(directory.c_str(), &numbers) == 0) {
    filesystem.limit_bytes = numbers.f_blocks * numbers.f_frsize;
    filesystem.inodes = numbers.f_files;
    filesystem.inodes_free = numbers.f_ffree;
  }
  return filesystem;
}

}  // namespace

v1::ContainerMetrics Service::MetricsOf(const container::Container& container,
                                        const store::SandboxRecord& pod) {
  v1::ContainerMetrics metrics;
  metrics.set_container_id(container.id());
  const std::string cgroup_path = CgroupPath(container);
  absl::StatusOr<cgroup::Stats> stats = cgroups_.ReadStats(cgroup_path);
  const std::optional<container::Init> init = container.init();
  if (!stats.ok() || !init.has_value()) return metrics;  // it ends at this moment
  ContainerReadings readings;
  readings.labels = PodLabels(pod, cgroup_path);
  readings.labels.name = container.id();
  container.Read([&](const store::ContainerRecord& record) {
    const v1::ImageSpec& image = record.config.image();
    readings.labels.image =
        image.user_specified_image().empty() ? image.image() : image.user_specified_image();
    readings.labels.container = record.config.metadata().name();
    readings.resources = record.resources;
  });
  for (const cgroup::BlockDeviceStats& device : stats->block_devices)
    readings.devices.push_back({device, linux::BlockDeviceName(device.major, device.minor)});
  readings.stats = *std::move(stats);
  readings.filesystem = FilesystemAt(snapshots_.root());
  const absl::StatusOr<snapshot::Usage> usage = snapshots_.ContainerUsage(container.id());
  if (usage.ok()) readings.filesystem.used_bytes = usage->bytes;
  readings.cgroup_v2 = cgroups_.layout().v2_only();
  readings.started_at_ns = init->started_at_ns;
  readings.now_ns = base::WallNanos();
  const std::vector<pid_t> pids = cgroup::ReadProcesses(cgroups_.layout(), cgroup_path);
  const linux::OpenFiles files = linux::CountOpenFiles(pids);
  readings.processes = pids.size();
  readings.file_descriptors = files.descriptors;
  readings.sockets = files.sockets;
  readings.max_open_files = linux::MaxOpenFiles(init->pid);
  AddContainerMetrics(HostOf(cgroups_), readings, metrics);
  return metrics;
}

absl::StatusOr<v1::ListMetricDescriptorsResponse> Service::ListMetricDescriptors(
    const v1::ListMetricDescriptorsRequest&, const Call&) {
  v1::ListMetricDescriptorsResponse response;
  for (v1::MetricDescriptor& descriptor : DescribeMetrics(HostOf(cgroups_)))
    *response.add_descriptors() = std::move(descriptor);
  return response;
}

absl::StatusOr<v1::ListPodSandboxMetricsResponse> Service::ListPodSandboxMetrics(
    const v1::ListPodSandboxMetricsRequest&, const Call&) {
  v1::ListPodSandboxMetricsResponse response;
  for (const SandboxPtr& sandbox : sandboxes_.List()) {
    if (!sandbox->visible() || !sandbox->ready()) continue;
    const store::SandboxRecord record = sandbox->record();
    v1::PodSandboxMetrics& pod = *response.add_pod_metrics();
    pod.set_pod_sandbox_id(record.id);
    const absl::StatusOr<std::vector<cni::InterfaceStats>> interfaces = InterfacesOf(record);
    if (interfaces.ok()) {
      const std::string path = cgroups_.Path(record.cgroup_parent, record.id).value_or("");
      AddNetworkMetrics(PodLabels(record, path), *interfaces, pod);
    }
    for (const ContainerPtr& container : ContainersOf(record.id)) {
      if (container->running()) *pod.add_container_metrics() = MetricsOf(*container, record);
    }
  }
  return response;
}

}  // namespace crisp::cri
