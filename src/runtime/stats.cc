#include "runtime/stats.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "cgroup/group_path.h"
#include "cgroup/kept_files.h"
#include "cgroup/processes.h"
#include "cni/netns.h"
#include "linux/block_device.h"
#include "linux/open_files.h"

namespace crisp::runtime {
namespace {

using cgroup::Meter;

// Descriptors of one container that are looked at: when it is measured, and when a call asks for a
// container that has not been measured yet.
constexpr uint64_t kMostMeasured = 16'384;
constexpr uint64_t kMostAtOnce = 256;
// Descriptors are counted while someone asks for metrics, and usage is read in the background while
// someone asks for more than can be read at once.
constexpr int64_t kWantedNs = 120'000'000'000;
// Of one call that wants more readings than a few, which are always made: what a call says of one
// pod is new also where a machine is slow.
constexpr absl::Duration kRefreshTime = absl::Milliseconds(4);
constexpr size_t kFewReadings = 16;
// What is younger is not read in the background.
constexpr int64_t kYoungNs = 5'000'000'000;

bool IsWanted(int64_t asked_ns) {
  return asked_ns != 0 && base::MonotonicNanos() - asked_ns < kWantedNs;
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

void FillDevices(metrics::ContainerReadings& readings) {
  for (const cgroup::BlockDeviceStats& device : readings.stats.block_devices)
    readings.devices.push_back({device, linux::BlockDeviceName(device.major, device.minor)});
}

void FillLabels(const container::Container& container, metrics::ContainerReadings& readings) {
  readings.labels.name = container.id().str();
  container.Read([&](const store::ContainerRecord& record) {
    const v1::ImageSpec& image = record.config.image();
    readings.labels.image =
        image.user_specified_image().empty() ? image.image() : image.user_specified_image();
    readings.labels.container = record.config.metadata().name();
    readings.resources = record.resources;
    readings.created_at_ns = record.created_at_ns;
  });
}

}  // namespace

bool IsPodGroup(absl::string_view group, absl::string_view uid) {
  return !uid.empty() &&
         (absl::EndsWith(group, absl::StrCat("/pod", uid)) ||
          absl::EndsWith(group,
                         absl::StrCat("-pod", absl::StrReplaceAll(uid, {{"-", "_"}}), ".slice")));
}

cgroup::Usage SumUsage(const std::vector<cgroup::Usage>& groups) {
  cgroup::Usage sum;
  sum.taken_at_ns = groups.front().taken_at_ns;
  const auto add = [](const cgroup::Count& more, cgroup::Count& total) {
    if (more.has_value()) total = total.value_or(0) + *more;
  };
  for (const cgroup::Usage& group : groups) {
    const cgroup::MemoryStats& memory = group.stats.memory;
    add(group.stats.cpu.usage_ns, sum.stats.cpu.usage_ns);
    add(group.nano_cores, sum.nano_cores);
    add(memory.usage_bytes, sum.stats.memory.usage_bytes);
    add(memory.working_set_bytes, sum.stats.memory.working_set_bytes);
    add(memory.rss_bytes, sum.stats.memory.rss_bytes);
    add(memory.page_faults, sum.stats.memory.page_faults);
    add(memory.major_page_faults, sum.stats.memory.major_page_faults);
    sum.processes += group.processes;
    sum.taken_at_ns = std::min(sum.taken_at_ns, group.taken_at_ns);
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
                       if (IsWanted(metrics_asked_ns_))
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
    if (!container->running()) container->meter().files().Close();
  }
  for (const SandboxPtr& sandbox : core_.objects.sandboxes.List()) {
    if (!sandbox->ready()) sandbox->meter().files().Close();
  }
  if (!IsWanted(left_out_ns_)) return;
  const int64_t young = base::MonotonicNanos() - kYoungNs;
  for (const Reading& reading :
       Readings(core_.objects.containers.List(), core_.objects.sandboxes.List())) {
    if (reading.last_ns != 0 && reading.last_ns < young) reading.read();
  }
}

linux::OpenFiles Stats::CountOpenFiles(const container::Container& container, uint64_t most) const {
  return linux::CountOpenFiles(
      cgroup::ReadProcesses(core_.cgroups.layout(), core_.CgroupPath(container)), most);
}

std::vector<Reading> Stats::Readings(const std::vector<ContainerPtr>& containers,
                                     const std::vector<SandboxPtr>& sandboxes) {
  std::vector<Reading> readings;
  readings.reserve(containers.size() + sandboxes.size());
  for (const ContainerPtr& container : containers) {
    readings.push_back({container->meter().read_at_ns(), [this, container] {
                          container->meter().Read(core_.cgroups.layout(),
                                                  core_.CgroupPath(*container),
                                                  Meter::Processes::kCount);
                        }});
  }
  for (const SandboxPtr& sandbox : sandboxes)
    readings.push_back({sandbox->meter().read_at_ns(), [this, sandbox] { ReadPod(*sandbox); }});
  return readings;
}

void Stats::Refresh(const std::vector<ContainerPtr>& containers,
                    const std::vector<SandboxPtr>& sandboxes) {
  std::vector<Reading> readings = Readings(containers, sandboxes);
  const base::Deadline give_up =
      readings.size() > kFewReadings ? base::Deadline::In(kRefreshTime) : base::Deadline::Never();
  if (!ReadOldestFirst(std::move(readings), give_up)) left_out_ns_ = base::MonotonicNanos();
}

// The group kubelet made for the pod counts on when containers come and go. Another pod (crictl's)
// is the sum of its groups.
void Stats::ReadPod(sandbox::Sandbox& sandbox) const {
  const std::string group = PodGroup(sandbox);
  sandbox.meter().Read(core_.cgroups.layout(), group.empty() ? core_.CgroupPath(sandbox) : group,
                       Meter::Processes::kLeaveOut);
  sandbox.SetInterfaces(Interfaces(sandbox).value_or(std::vector<cni::InterfaceStats>()));
}

std::string Stats::PodGroup(const sandbox::Sandbox& sandbox) const {
  const std::string uid = sandbox.Read(
      [](const store::SandboxRecord& record) { return record.config.metadata().uid(); });
  std::string group = cgroup::GroupAbove(core_.CgroupPath(sandbox));
  return IsPodGroup(group, uid) ? group : "";
}

ContainerUsage Stats::Container(container::Container& container) const {
  return {.cgroup = container.meter().last(core_.CgroupPath(container)),
          .writable_layer = container.layer_usage()};
}

PodUsage Stats::Pod(sandbox::Sandbox& sandbox,
                    const std::vector<ContainerUsage>& containers) const {
  PodUsage pod;
  pod.interfaces = sandbox.interfaces();
  const std::string pause = core_.CgroupPath(sandbox);
  std::optional<cgroup::Usage> whole = sandbox.meter().last(cgroup::GroupAbove(pause));
  const std::optional<cgroup::Usage> own = whole.has_value() ? whole : sandbox.meter().last(pause);
  if (!own.has_value()) return pod;  // the sandbox has ended
  std::vector<cgroup::Usage> groups = {*own};
  groups[0].processes = sandbox.ready() ? 1 : 0;  // pause
  for (const ContainerUsage& container : containers) {
    if (container.cgroup.has_value()) groups.push_back(*container.cgroup);
  }
  pod.cgroup = SumUsage(groups);
  if (!whole.has_value()) return pod;
  whole->processes = pod.cgroup->processes;
  pod.cgroup = std::move(whole);
  return pod;
}

absl::StatusOr<std::vector<cni::InterfaceStats>> Stats::Interfaces(
    const sandbox::Sandbox& sandbox) const {
  if (sandbox.Read([](const store::SandboxRecord& record) { return record.netns_path.empty(); }))
    return absl::NotFoundError("the pod uses the host's network");
  const std::optional<linux::ProcessRef> pause = sandbox.pause();
  if (!pause.has_value()) return absl::NotFoundError("the pod has no process");
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd process, pause->OpenProcDirectory());
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

absl::StatusOr<metrics::ContainerReadings> Stats::PodMetrics(sandbox::Sandbox& sandbox) {
  const store::SandboxRecord pod = sandbox.record();
  const std::string group = PodGroup(sandbox);
  if (group.empty()) return absl::NotFoundError("kubelet has made no group for the pod");
  metrics::ContainerReadings readings;
  CRISP_ASSIGN_OR_RETURN(readings.stats, core_.cgroups.ReadStats(group, cgroup::Detail::kAll,
                                                                 &sandbox.meter().files()));
  readings.labels = PodLabels(pod);
  readings.labels.id = group;
  readings.labels.name.clear();
  FillDevices(readings);
  readings.resources = pod.config.linux().resources();
  readings.cgroup_v2 = core_.cgroups.layout().v2_only();
  readings.created_at_ns = readings.started_at_ns = pod.created_at_ns;
  readings.now_ns = base::WallNanos();
  return readings;
}

absl::StatusOr<metrics::ContainerReadings> Stats::Metrics(container::Container& container,
                                                          const store::SandboxRecord& pod) {
  metrics_asked_ns_ = base::MonotonicNanos();
  const std::string cgroup_path = core_.CgroupPath(container);
  cgroup::KeptFiles& kept = container.meter().files();
  CRISP_ASSIGN_OR_RETURN(cgroup::Stats stats,
                         core_.cgroups.ReadStats(cgroup_path, cgroup::Detail::kAll, &kept));
  const std::optional<container::Init> init = container.init();
  if (!init.has_value()) return absl::NotFoundError("the container has no process");
  metrics::ContainerReadings readings;
  readings.labels = PodLabels(pod);
  readings.labels.id = cgroup_path;
  FillLabels(container, readings);
  readings.stats = std::move(stats);
  FillDevices(readings);
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
