#include "runtime/stats.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "cgroup/kept_files.h"
#include "cgroup/processes.h"
#include "cni/netns.h"
#include "linux/block_device.h"
#include "linux/open_files.h"

namespace crisp::runtime {
namespace {

// Descriptors of one container that are looked at: when it is measured, and when a call asks for a
// container that has not been measured yet.
constexpr uint64_t kMostMeasured = 16'384;
constexpr uint64_t kMostAtOnce = 256;
// Descriptors are counted while someone asks for metrics.
constexpr int64_t kMetricsWantedNs = 120'000'000'000;

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

Stats::Stats(Core& core)
    : core_(core),
      measurer_(core.objects,
                {.open_layer =
                     [this](const base::ContainerId& id) {
                       return core_.snapshots.OpenContainer(id.str());
                     },
                 .measure_more =
                     [this](container::Container& container) {
                       const int64_t asked = metrics_asked_ns_;
                       if (asked == 0 || base::MonotonicNanos() - asked > kMetricsWantedNs) return;
                       container.SetOpenFiles(CountOpenFiles(container, kMostMeasured));
                     },
                 .measure_host = [this] { MeasureHost(); }}) {}

void Stats::MeasureHost() {
  metrics::MetricFilesystem filesystem = FilesystemAt(core_.snapshots.root());
  {
    absl::MutexLock lock(&mu_);
    filesystem_ = std::move(filesystem);
  }
  // Of groups that are gone, or soon will be.
  for (const ContainerPtr& container : core_.objects.containers.List()) {
    if (!container->running()) container->cgroup_files().Close();
  }
  for (const SandboxPtr& sandbox : core_.objects.sandboxes.List()) {
    if (!sandbox->ready()) sandbox->cgroup_files().Close();
  }
}

linux::OpenFiles Stats::CountOpenFiles(const container::Container& container, uint64_t most) const {
  return linux::CountOpenFiles(
      cgroup::ReadProcesses(core_.cgroups.layout(), core_.CgroupPath(container)), most);
}

ContainerUsage Stats::Container(container::Container& container) {
  const std::string path = core_.CgroupPath(container);
  cgroup::KeptFiles& files = container.cgroup_files();
  ContainerUsage usage = {.cgroup = core_.cgroups.ReadStats(path, cgroup::Detail::kUsage, &files),
                          .nano_cores = std::nullopt,
                          .writable_layer = container.layer_usage()};
  if (!usage.cgroup.ok()) return usage;
  usage.nano_cores = NanoCores(*usage.cgroup, container.cpu_rate());
  usage.processes = cgroup::CountProcesses(core_.cgroups.layout(), path, &files);
  return usage;
}

// The group kubelet made for the pod counts on when containers come and go. Where several pods
// share a parent (crictl's have none of their own) the pod is the sum of its groups.
PodUsage Stats::Pod(sandbox::Sandbox& sandbox, bool own_parent,
                    const std::vector<ContainerUsage>& containers) {
  const std::string parent =
      sandbox.Read([](const store::SandboxRecord& record) { return record.cgroup_parent; });
  const std::string pause = core_.cgroups.Path(parent, sandbox.id().str()).value_or("");
  const std::string above = pause.substr(0, pause.rfind('/'));
  const bool whole = own_parent && !above.empty();
  PodUsage pod;
  pod.interfaces = Interfaces(sandbox);
  // A sandbox without a group has ended.
  pod.cgroup = core_.cgroups.ReadStats(whole ? above : pause, cgroup::Detail::kUsage,
                                       &sandbox.cgroup_files());
  if (!pod.cgroup.ok()) return pod;
  pod.processes = sandbox.ready() ? 1 : 0;  // pause
  std::vector<cgroup::Stats> groups = {*pod.cgroup};
  for (const ContainerUsage& container : containers) {
    pod.processes += container.processes;
    if (container.cgroup.ok()) groups.push_back(*container.cgroup);
  }
  if (!whole) pod.cgroup = SumUsage(groups);
  pod.nano_cores = NanoCores(*pod.cgroup, sandbox.cpu_rate());
  return pod;
}

absl::StatusOr<std::vector<cni::InterfaceStats>> Stats::Interfaces(
    const sandbox::Sandbox& sandbox) const {
  if (sandbox.Read([](const store::SandboxRecord& record) { return record.netns_path.empty(); }))
    return absl::NotFoundError("the pod uses the host's network");
  const std::optional<sandbox::Pause> pause = sandbox.pause();
  if (!pause.has_value()) return absl::NotFoundError("the pod has no process");
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd process, pause->process.OpenProcDirectory());
  return cni::ReadInterfaceStats(process.get());
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

absl::StatusOr<metrics::ContainerReadings> Stats::Metrics(container::Container& container,
                                                          const store::SandboxRecord& pod) {
  metrics_asked_ns_ = base::MonotonicNanos();
  const std::string cgroup_path = core_.CgroupPath(container);
  cgroup::KeptFiles& kept = container.cgroup_files();
  CRISP_ASSIGN_OR_RETURN(cgroup::Stats stats,
                         core_.cgroups.ReadStats(cgroup_path, cgroup::Detail::kAll, &kept));
  const std::optional<container::Init> init = container.init();
  if (!init.has_value()) return absl::NotFoundError("the container has no process");
  metrics::ContainerReadings readings;
  readings.labels = PodLabels(pod);
  readings.labels.id = cgroup_path;
  FillLabels(container, readings);
  for (const cgroup::BlockDeviceStats& device : stats.block_devices)
    readings.devices.push_back({device, linux::BlockDeviceName(device.major, device.minor)});
  readings.stats = std::move(stats);
  {
    absl::ReaderMutexLock lock(&mu_);
    readings.filesystem = filesystem_;
  }
  if (const auto layer = container.layer_usage(); layer.has_value())
    readings.filesystem.used_bytes = layer->usage.bytes;
  readings.cgroup_v2 = core_.cgroups.layout().v2_only();
  readings.started_at_ns = init->started_at_ns;
  readings.now_ns = base::WallNanos();
  if (!container.open_files().has_value())
    container.SetOpenFiles(CountOpenFiles(container, kMostAtOnce));
  readings.processes = cgroup::CountProcesses(core_.cgroups.layout(), cgroup_path, &kept);
  readings.file_descriptors = container.open_files()->descriptors;
  readings.sockets = container.open_files()->sockets;
  readings.max_open_files = linux::MaxOpenFiles(init->process.pid);
  return readings;
}

}  // namespace crisp::runtime
