#include "runtime/stats.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "cgroup/processes.h"
#include "cni/netns.h"
#include "linux/block_device.h"
#include "linux/open_files.h"

namespace crisp::runtime {
namespace {

// What the pod uses, and where its processes are.
struct PodGroups {
  cgroup::Stats usage;
  std::vector<std::string> paths;
};

// The group kubelet made for the pod counts on when containers come and go. Where several pods
// share a parent (crictl's have none of their own) the pod is the sum of its groups.
absl::StatusOr<PodGroups> ReadPod(const cgroup::Cgroups& cgroups, bool own_parent,
                                  const std::vector<std::string>& leaves) {
  PodGroups pod;
  const std::string parent = leaves[0].substr(0, leaves[0].rfind('/'));
  if (own_parent && !parent.empty()) {
    pod.paths = {parent};
    CRISP_ASSIGN_OR_RETURN(pod.usage, cgroups.ReadStats(pod.paths[0]));
    return pod;
  }
  std::vector<cgroup::Stats> all;
  for (const std::string& leaf : leaves) {
    absl::StatusOr<cgroup::Stats> stats = cgroups.ReadStats(leaf);
    // A container that ended has no group; a sandbox without one has ended.
    if (!stats.ok() && leaf == leaves[0]) return stats.status();
    if (stats.ok()) all.push_back(*std::move(stats));
  }
  pod.usage = SumUsage(all);
  pod.paths = leaves;
  return pod;
}

metrics::MetricFilesystem FilesystemAt(const std::string& directory) {
  metrics::MetricFilesystem filesystem;
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

std::optional<uint64_t> NanoCores(const cgroup::Stats& stats, cgroup::UsageRate& rate) {
  if (!stats.cpu.usage_ns.has_value()) return std::nullopt;
  return rate.Update(*stats.cpu.usage_ns, base::MonotonicNanos());
}

void FillLabels(const container::Container& container, metrics::ContainerReadings& readings) {
  readings.labels.name = container.id().str();
  container.Read([&](const store::ContainerRecord& record) {
    const v1::ImageSpec& image = record.config.image();
    readings.labels.image =
        image.user_specified_image().empty() ? image.image() : image.user_specified_image();
    readings.labels.container = record.config.metadata().name();
    readings.resources = record.resources;
  });
}

}  // namespace

cgroup::Stats SumUsage(const std::vector<cgroup::Stats>& groups) {
  cgroup::Stats sum;
  const auto add = [](const cgroup::Count& more, cgroup::Count& total) {
    if (more.has_value()) total = total.value_or(0) + *more;
  };
  for (const cgroup::Stats& group : groups) {
    add(group.cpu.usage_ns, sum.cpu.usage_ns);
    add(group.memory.usage_bytes, sum.memory.usage_bytes);
    add(group.memory.working_set_bytes, sum.memory.working_set_bytes);
    add(group.memory.rss_bytes, sum.memory.rss_bytes);
    add(group.memory.page_faults, sum.memory.page_faults);
    add(group.memory.major_page_faults, sum.memory.major_page_faults);
  }
  return sum;
}

ContainerUsage Stats::Container(container::Container& container) {
  ContainerUsage usage = {.cgroup = core_.cgroups.ReadStats(core_.CgroupPath(container)),
                          .nano_cores = std::nullopt,
                          .writable_layer = core_.snapshots.ContainerUsage(container.id().str())};
  if (usage.cgroup.ok()) usage.nano_cores = NanoCores(*usage.cgroup, container.cpu_rate());
  return usage;
}

PodUsage Stats::Pod(sandbox::Sandbox& sandbox, bool own_parent) {
  const store::SandboxRecord record = sandbox.record();
  std::vector<std::string> leaves = {
      core_.cgroups.Path(record.cgroup_parent, record.id.str()).value_or("")};
  for (const ContainerPtr& container : core_.objects.ContainersOf(record.id)) {
    if (container->state() != v1::CONTAINER_EXITED) leaves.push_back(core_.CgroupPath(*container));
  }
  PodUsage pod;
  pod.interfaces = Interfaces(record);
  absl::StatusOr<PodGroups> groups = ReadPod(core_.cgroups, own_parent, leaves);
  if (!groups.ok()) {
    pod.cgroup = groups.status();
    return pod;
  }
  pod.nano_cores = NanoCores(groups->usage, sandbox.cpu_rate());
  for (const std::string& path : groups->paths)
    pod.processes += cgroup::ReadProcesses(core_.cgroups.layout(), path).size();
  pod.cgroup = std::move(groups->usage);
  return pod;
}

absl::StatusOr<std::vector<cni::InterfaceStats>> Stats::Interfaces(
    const store::SandboxRecord& pod) const {
  if (pod.netns_path.empty()) return absl::NotFoundError("the pod uses the host's network");
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, cni::OpenNetns(pod.netns_path));
  return cni::ReadInterfaceStats(netns.get());
}

metrics::MetricHost Stats::Host() const {
  // Pressure files exist in every cgroup when the kernel keeps them at all.
  static const bool pressure = access("/proc/pressure/cpu", R_OK) == 0;
  const cgroup::Layout& layout = core_.cgroups.layout();
  return {.hugepages = layout.Find("hugetlb") != nullptr && !layout.hugepage_sizes.empty(),
          .pressure = pressure};
}

metrics::MetricLabels Stats::PodLabels(const store::SandboxRecord& pod) const {
  return {.id = core_.cgroups.Path(pod.cgroup_parent, pod.id.str()).value_or(""),
          .name = pod.id.str(),
          .image = "",
          .container = "",
          .pod = pod.config.metadata().name(),
          .pod_namespace = pod.config.metadata().namespace_()};
}

absl::StatusOr<metrics::ContainerReadings> Stats::Metrics(const container::Container& container,
                                                          const store::SandboxRecord& pod) const {
  const std::string cgroup_path = core_.CgroupPath(container);
  CRISP_ASSIGN_OR_RETURN(cgroup::Stats stats, core_.cgroups.ReadStats(cgroup_path));
  const std::optional<container::Init> init = container.init();
  if (!init.has_value()) return absl::NotFoundError("the container has no process");
  metrics::ContainerReadings readings;
  readings.labels = PodLabels(pod);
  readings.labels.id = cgroup_path;
  FillLabels(container, readings);
  for (const cgroup::BlockDeviceStats& device : stats.block_devices)
    readings.devices.push_back({device, linux::BlockDeviceName(device.major, device.minor)});
  readings.stats = std::move(stats);
  readings.filesystem = FilesystemAt(core_.snapshots.root());
  const absl::StatusOr<snapshot::Usage> usage =
      core_.snapshots.ContainerUsage(container.id().str());
  if (usage.ok()) readings.filesystem.used_bytes = usage->bytes;
  readings.cgroup_v2 = core_.cgroups.layout().v2_only();
  readings.started_at_ns = init->started_at_ns;
  readings.now_ns = base::WallNanos();
  const std::vector<pid_t> pids = cgroup::ReadProcesses(core_.cgroups.layout(), cgroup_path);
  const linux::OpenFiles files = linux::CountOpenFiles(pids);
  readings.processes = pids.size();
  readings.file_descriptors = files.descriptors;
  readings.sockets = files.sockets;
  readings.max_open_files = linux::MaxOpenFiles(init->process.pid);
  return readings;
}

}  // namespace crisp::runtime
