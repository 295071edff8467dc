#include "metrics/families.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace crisp::metrics {
namespace {

namespace v1 = ::runtime::v1;

constexpr uint64_t kNanos = 1'000'000'000;
constexpr const char* kBaseKeys[] = {"id", "name", "image", "container", "pod", "namespace"};

struct Family;

// Where samples go.
class Samples {
 public:
  using List = google::protobuf::RepeatedPtrField<v1::Metric>;
  Samples(const Family& family, const MetricLabels& labels, List& list)
      : family_(family), labels_(labels), list_(list) {}

  void Add(uint64_t value, const std::vector<std::string>& extra = {}) { AddOne(value, extra); }
  // Nothing for a number the kernel does not give.
  void Add(const cgroup::Count& value, const std::vector<std::string>& extra = {}) {
    if (value.has_value()) AddOne(*value, extra);
  }
  // Of a time in nanoseconds.
  void AddSeconds(const cgroup::Count& nanos, const std::vector<std::string>& extra = {}) {
    if (!nanos.has_value()) return;
    AddOne(*nanos / kNanos, extra)
        .mutable_double_value()
        ->set_value(static_cast<double>(*nanos) / kNanos);
  }

 private:
  v1::Metric& AddOne(uint64_t value, const std::vector<std::string>& extra);

  const Family& family_;
  const MetricLabels& labels_;
  List& list_;
};

enum class Need { kNothing, kHugepages, kPressure };
enum class Of { kContainersAndPods, kContainers };

struct Family {
  const char* name;
  const char* help;
  v1::MetricType type;
  std::vector<const char*> extra_keys;
  void (*read)(const ContainerReadings& c, Samples& to);
  Of of = Of::kContainersAndPods;
  Need need = Need::kNothing;
};

struct NetworkFamily {
  Family family;
  uint64_t cni::InterfaceStats::*value;
};

v1::Metric& Samples::AddOne(uint64_t value, const std::vector<std::string>& extra) {
  v1::Metric& metric = *list_.Add();
  metric.set_name(family_.name);
  metric.set_metric_type(family_.type);
  for (const std::string* label : {&labels_.id, &labels_.name, &labels_.image, &labels_.container,
                                   &labels_.pod, &labels_.pod_namespace}) {
    metric.add_label_values(*label);
  }
  for (const std::string& label : extra) metric.add_label_values(label);
  metric.mutable_value()->set_value(value);
  return metric;
}

using R = const ContainerReadings&;

void AddDevices(R c, uint64_t cgroup::BlockDeviceStats::*value, Samples& to) {
  for (const MetricDevice& device : c.devices) to.Add(device.stats.*value, {device.name});
}

void AddBlkio(R c, Samples& to) {
  for (const MetricDevice& device : c.devices) {
    const std::string major = absl::StrCat(device.stats.major);
    const std::string minor = absl::StrCat(device.stats.minor);
    to.Add(device.stats.read_bytes, {device.name, major, minor, "Read"});
    to.Add(device.stats.write_bytes, {device.name, major, minor, "Write"});
  }
}

// A limit that is not set is 0, as in cAdvisor.
uint64_t Limit(int64_t value) { return value > 0 ? static_cast<uint64_t>(value) : 0; }

// cAdvisor's: memory and swap together on v1, swap alone on v2.
uint64_t SwapLimit(R c) {
  if (!c.stats.memory.swap_limit_bytes.has_value()) return 0;
  return *c.stats.memory.swap_limit_bytes +
         (c.cgroup_v2 ? 0 : c.stats.memory.limit_bytes.value_or(0));
}

// CRI has no field for it; MemoryQoS sets the file.
uint64_t Reservation(R c) {
  const auto it = c.resources.unified().find("memory.min");
  uint64_t bytes = 0;
  return it != c.resources.unified().end() && absl::SimpleAtoi(it->second, &bytes) ? bytes : 0;
}

void AddFailures(R c, Samples& to) {
  for (const char* scope : {"container", "hierarchy"}) {
    to.Add(c.stats.memory.page_faults, {"pgfault", scope});
    to.Add(c.stats.memory.major_page_faults, {"pgmajfault", scope});
  }
}

// As in cAdvisor, only of groups with a quota.
void AddOfQuota(R c, const cgroup::Count& value, Samples& to) {
  if (Limit(c.resources.cpu_quota()) != 0) to.Add(value.value_or(0));
}

void AddSecondsOfQuota(R c, const cgroup::Count& nanos, Samples& to) {
  if (Limit(c.resources.cpu_quota()) != 0) to.AddSeconds(nanos.value_or(0));
}

void AddPressure(const std::optional<cgroup::Pressure>& pressure,
                 cgroup::PressureLine cgroup::Pressure::*line, Samples& to) {
  if (pressure.has_value()) to.AddSeconds(((*pressure).*line).total_ns);
}

#define COUNTER(name, help, extra, ...)                                                \
  {                                                                                    \
    "container_" name, help, v1::COUNTER, extra, [](R c, Samples& to) { __VA_ARGS__; } \
  }
#define GAUGE(name, help, extra, ...)                                                \
  {                                                                                  \
    "container_" name, help, v1::GAUGE, extra, [](R c, Samples& to) { __VA_ARGS__; } \
  }
using Keys = std::vector<const char*>;

std::vector<Family> CpuFamilies() {
  return {
      COUNTER("cpu_usage_seconds_total", "CPU time consumed, in seconds.", Keys{"cpu"},
              to.AddSeconds(c.stats.cpu.usage_ns, {"total"})),
      COUNTER("cpu_user_seconds_total", "CPU time in user mode, in seconds.", {},
              to.AddSeconds(c.stats.cpu.user_ns)),
      COUNTER("cpu_system_seconds_total", "CPU time in the kernel, in seconds.", {},
              to.AddSeconds(c.stats.cpu.system_ns)),
      COUNTER("cpu_cfs_periods_total", "Enforcement periods of the CPU quota.", {},
              AddOfQuota(c, c.stats.cpu.periods, to)),
      COUNTER("cpu_cfs_throttled_periods_total", "Periods in which the quota was used up.", {},
              AddOfQuota(c, c.stats.cpu.throttled_periods, to)),
      COUNTER("cpu_cfs_throttled_seconds_total", "Time spent throttled, in seconds.", {},
              AddSecondsOfQuota(c, c.stats.cpu.throttled_ns, to)),
      COUNTER("cpu_cfs_burst_periods_total", "Periods that took more than the quota.", {},
              AddOfQuota(c, c.stats.cpu.burst_periods, to)),
      COUNTER("cpu_cfs_burst_seconds_total", "Time above the quota, in seconds.", {},
              AddSecondsOfQuota(c, c.stats.cpu.burst_ns, to)),
  };
}

std::vector<Family> MemoryFamilies() {
  return {
      GAUGE("memory_usage_bytes", "Memory in use, page cache included, in bytes.", {},
            to.Add(c.stats.memory.usage_bytes)),
      GAUGE("memory_working_set_bytes", "Memory in use less inactive page cache, in bytes.", {},
            to.Add(c.stats.memory.working_set_bytes)),
      GAUGE("memory_rss", "Anonymous memory, in bytes.", {}, to.Add(c.stats.memory.rss_bytes)),
      GAUGE("memory_cache", "Page cache, in bytes.", {}, to.Add(c.stats.memory.cache_bytes)),
      GAUGE("memory_mapped_file", "Mapped files, in bytes.", {},
            to.Add(c.stats.memory.mapped_file_bytes)),
      GAUGE("memory_swap", "Swap in use, in bytes.", {},
            to.Add(c.stats.memory.swap_bytes.value_or(0))),
      GAUGE("memory_kernel_usage", "Kernel memory, in bytes.", {},
            to.Add(c.stats.memory.kernel_bytes)),
      GAUGE("memory_max_usage_bytes", "Highest memory use so far, in bytes.", {},
            to.Add(c.stats.memory.max_usage_bytes)),
      COUNTER("memory_failcnt", "Times the memory limit was hit.", {},
              to.Add(c.stats.memory.failures)),
      COUNTER("memory_failures_total", "Page faults.", (Keys{"failure_type", "scope"}),
              AddFailures(c, to)),
      COUNTER("oom_events_total", "Processes killed for want of memory.", {},
              to.Add(c.stats.memory.oom_kills)),
  };
}

// cAdvisor has 0 on cgroup v1, which does not count them.
std::vector<Family> ReclaimFamilies() {
  return {
      GAUGE("memory_total_active_file_bytes", "Page cache in active use, in bytes.", {},
            to.Add(c.stats.memory.active_file_bytes.value_or(0))),
      GAUGE("memory_total_inactive_file_bytes", "Page cache that is not in active use, in bytes.",
            {}, to.Add(c.stats.memory.inactive_file_bytes.value_or(0))),
      COUNTER("memory_events_high_total", "Times memory.high was exceeded.", {},
              to.Add(c.stats.memory.high_events.value_or(0))),
      COUNTER("memory_events_max_total", "Times memory.max was about to be exceeded.", {},
              to.Add(c.cgroup_v2 ? c.stats.memory.failures.value_or(0) : 0)),
      GAUGE("memory_file_dirty_bytes", "Page cache that is to be written, in bytes.", {},
            to.Add(c.stats.memory.file_dirty_bytes.value_or(0))),
      GAUGE("memory_file_writeback_bytes", "Page cache that is being written, in bytes.", {},
            to.Add(c.stats.memory.file_writeback_bytes.value_or(0))),
      COUNTER("memory_pgscan_total", "Pages looked at to reclaim memory.", {},
              to.Add(c.stats.memory.pages_scanned.value_or(0))),
      COUNTER("memory_pgsteal_total", "Pages reclaimed.", {},
              to.Add(c.stats.memory.pages_stolen.value_or(0))),
      COUNTER("memory_workingset_refault_file_total", "File pages read again after reclaim.", {},
              to.Add(c.stats.memory.file_refaults.value_or(0))),
      COUNTER("memory_workingset_refault_anon_total", "Anonymous pages read again after reclaim.",
              {}, to.Add(c.stats.memory.anon_refaults.value_or(0))),
  };
}

std::vector<Family> DiskFamilies() {
  return {
      COUNTER("blkio_device_usage_total", "Bytes read and written, by block device.",
              (Keys{"device", "major", "minor", "operation"}), AddBlkio(c, to)),
      COUNTER("fs_reads_total", "Reads completed.", Keys{"device"},
              AddDevices(c, &cgroup::BlockDeviceStats::reads, to)),
      COUNTER("fs_reads_bytes_total", "Bytes read.", Keys{"device"},
              AddDevices(c, &cgroup::BlockDeviceStats::read_bytes, to)),
      COUNTER("fs_writes_total", "Writes completed.", Keys{"device"},
              AddDevices(c, &cgroup::BlockDeviceStats::writes, to)),
      COUNTER("fs_writes_bytes_total", "Bytes written.", Keys{"device"},
              AddDevices(c, &cgroup::BlockDeviceStats::write_bytes, to)),
  };
}

std::vector<Family> LayerFamilies() {
  std::vector<Family> families = {
      GAUGE("fs_usage_bytes", "Bytes in the writable layer.", Keys{"device"},
            to.Add(c.filesystem.used_bytes, {c.filesystem.device})),
      GAUGE("fs_limit_bytes", "Size of the file system of the writable layer, in bytes.",
            Keys{"device"}, to.Add(c.filesystem.limit_bytes, {c.filesystem.device})),
      GAUGE("fs_inodes_total", "Inodes of the file system of the writable layer.", Keys{"device"},
            to.Add(c.filesystem.inodes, {c.filesystem.device})),
      GAUGE("fs_inodes_free", "Inodes free on the file system of the writable layer.",
            Keys{"device"}, to.Add(c.filesystem.inodes_free, {c.filesystem.device})),
  };
  for (Family& family : families) family.of = Of::kContainers;
  return families;
}

std::vector<Family> ProcessFamilies() {
  std::vector<Family> families = {
      GAUGE("processes", "Processes.", {}, to.Add(c.processes)),
      GAUGE("file_descriptors", "Open file descriptors.", {}, to.Add(c.file_descriptors)),
      GAUGE("sockets", "Open sockets.", {}, to.Add(c.sockets)),
      GAUGE("ulimits_soft", "Soft limits of the first process.", Keys{"ulimit"},
            to.Add(c.max_open_files, {"max_open_files"})),
  };
  for (Family& family : families) family.of = Of::kContainers;
  return families;
}

std::vector<Family> LifeFamilies() {
  return {
      GAUGE("threads", "Threads.", {}, to.Add(c.stats.pids)),
      GAUGE("threads_max", "Limit of threads; 0: none.", {},
            to.Add(c.stats.pids_limit.value_or(0))),
      GAUGE("creation_time_seconds", "Creation of the container since the epoch, in seconds.", {},
            to.Add(static_cast<uint64_t>(c.created_at_ns) / kNanos)),
      GAUGE("start_time_seconds", "Start of the container since the epoch, in seconds.", {},
            to.Add(static_cast<uint64_t>(c.started_at_ns) / kNanos)),
      GAUGE("last_seen", "Time of this sample since the epoch, in seconds.", {},
            to.Add(static_cast<uint64_t>(c.now_ns) / kNanos)),
  };
}

std::vector<Family> SpecFamilies() {
  return {
      GAUGE("spec_cpu_period", "CPU period, in microseconds.", {},
            to.Add(c.resources.cpu_period() > 0 ? Limit(c.resources.cpu_period()) : 100'000)),
      GAUGE("spec_cpu_quota", "CPU quota per period, in microseconds.", {},
            AddOfQuota(c, Limit(c.resources.cpu_quota()), to)),
      GAUGE("spec_cpu_shares", "CPU shares.", {},
            to.Add(c.resources.cpu_shares() > 0 ? Limit(c.resources.cpu_shares()) : 1024)),
      GAUGE("spec_memory_limit_bytes", "Memory limit, in bytes; 0: none.", {},
            to.Add(c.stats.memory.limit_bytes.value_or(0))),
      GAUGE("spec_memory_reservation_limit_bytes", "Memory reservation, in bytes; 0: none.", {},
            to.Add(Reservation(c))),
      GAUGE("spec_memory_swap_limit_bytes", "Swap limit, in bytes; 0: none.", {},
            to.Add(SwapLimit(c))),
  };
}

std::vector<Family> HostDependentFamilies() {
  std::vector<Family> families = {
      COUNTER("pressure_cpu_waiting_seconds_total", "Time some tasks waited for CPU, in seconds.",
              {}, AddPressure(c.stats.cpu_pressure, &cgroup::Pressure::some, to)),
      COUNTER("pressure_cpu_stalled_seconds_total", "Time no task had CPU, in seconds.", {},
              AddPressure(c.stats.cpu_pressure, &cgroup::Pressure::full, to)),
      COUNTER("pressure_memory_waiting_seconds_total",
              "Time some tasks waited for memory, in seconds.", {},
              AddPressure(c.stats.memory_pressure, &cgroup::Pressure::some, to)),
      COUNTER("pressure_memory_stalled_seconds_total",
              "Time all tasks waited for memory, in seconds.", {},
              AddPressure(c.stats.memory_pressure, &cgroup::Pressure::full, to)),
      COUNTER("pressure_io_waiting_seconds_total", "Time some tasks waited for I/O, in seconds.",
              {}, AddPressure(c.stats.io_pressure, &cgroup::Pressure::some, to)),
      COUNTER("pressure_io_stalled_seconds_total", "Time all tasks waited for I/O, in seconds.", {},
              AddPressure(c.stats.io_pressure, &cgroup::Pressure::full, to)),
  };
  for (Family& family : families) family.need = Need::kPressure;
  families.push_back(GAUGE("hugetlb_usage_bytes", "Huge pages in use, in bytes.", Keys{"pagesize"},
                           for (const cgroup::HugetlbStats& pages
                                : c.stats.hugetlb) to.Add(pages.usage_bytes, {pages.page_size})));
  families.push_back(
      GAUGE("hugetlb_max_usage_bytes", "Most huge pages in use so far, in bytes.", Keys{"pagesize"},
            for (const cgroup::HugetlbStats& pages
                 : c.stats.hugetlb) to.Add(pages.max_usage_bytes, {pages.page_size})));
  families.end()[-1].need = families.end()[-2].need = Need::kHugepages;
  return families;
}

#undef COUNTER
#undef GAUGE

const std::vector<Family>& ContainerFamilies() {
  static const auto* const all = [] {
    auto* families = new std::vector<Family>;
    for (auto make : {CpuFamilies, MemoryFamilies, ReclaimFamilies, DiskFamilies, LayerFamilies,
                      ProcessFamilies, LifeFamilies, SpecFamilies, HostDependentFamilies}) {
      for (Family& family : make()) families->push_back(std::move(family));
    }
    return families;
  }();
  return *all;
}

const std::vector<NetworkFamily>& NetworkFamilies() {
  static const auto* const all = new std::vector<NetworkFamily>([] {
    using I = cni::InterfaceStats;
    const std::tuple<const char*, const char*, uint64_t I::*> rows[] = {
        {"container_network_receive_bytes_total", "Bytes received.", &I::rx_bytes},
        {"container_network_receive_packets_total", "Packets received.", &I::rx_packets},
        {"container_network_receive_errors_total", "Errors while receiving.", &I::rx_errors},
        {"container_network_receive_packets_dropped_total", "Packets dropped while receiving.",
         &I::rx_dropped},
        {"container_network_transmit_bytes_total", "Bytes sent.", &I::tx_bytes},
        {"container_network_transmit_packets_total", "Packets sent.", &I::tx_packets},
        {"container_network_transmit_errors_total", "Errors while sending.", &I::tx_errors},
        {"container_network_transmit_packets_dropped_total", "Packets dropped while sending.",
         &I::tx_dropped},
    };
    std::vector<NetworkFamily> families;
    for (const auto& [name, help, value] : rows)
      families.push_back({{name, help, v1::COUNTER, {"interface"}, nullptr}, value});
    return families;
  }());
  return *all;
}

bool Offered(const Family& family, const MetricHost& host) {
  return (family.need != Need::kHugepages || host.hugepages) &&
         (family.need != Need::kPressure || host.pressure);
}

v1::MetricDescriptor Describe(const Family& family) {
  v1::MetricDescriptor descriptor;
  descriptor.set_name(family.name);
  descriptor.set_help(family.help);
  for (const char* key : kBaseKeys) descriptor.add_label_keys(key);
  for (const char* key : family.extra_keys) descriptor.add_label_keys(key);
  return descriptor;
}

}  // namespace

std::vector<v1::MetricDescriptor> DescribeMetrics(const MetricHost& host) {
  std::vector<v1::MetricDescriptor> descriptors;
  for (const Family& family : ContainerFamilies()) {
    if (Offered(family, host)) descriptors.push_back(Describe(family));
  }
  for (const NetworkFamily& network : NetworkFamilies())
    descriptors.push_back(Describe(network.family));
  return descriptors;
}

void AddContainerMetrics(const MetricHost& host, const ContainerReadings& readings,
                         v1::ContainerMetrics& metrics) {
  for (const Family& family : ContainerFamilies()) {
    if (!Offered(family, host)) continue;
    Samples samples(family, readings.labels, *metrics.mutable_metrics());
    family.read(readings, samples);
  }
}

void AddPodMetrics(const MetricHost& host, const ContainerReadings& readings,
                   v1::PodSandboxMetrics& metrics) {
  for (const Family& family : ContainerFamilies()) {
    if (!Offered(family, host) || family.of == Of::kContainers) continue;
    Samples samples(family, readings.labels, *metrics.mutable_metrics());
    family.read(readings, samples);
  }
}

void AddNetworkMetrics(const MetricLabels& labels,
                       const std::vector<cni::InterfaceStats>& interfaces,
                       v1::PodSandboxMetrics& metrics) {
  for (const NetworkFamily& network : NetworkFamilies()) {
    Samples samples(network.family, labels, *metrics.mutable_metrics());
    for (const cni::InterfaceStats& interface : interfaces) {
      if (interface.name != "lo") samples.Add(interface.*network.value, {interface.name});
    }
  }
}

}  // namespace crisp::metrics
