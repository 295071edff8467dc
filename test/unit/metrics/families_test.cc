#include "metrics/families.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

namespace crisp::metrics {
namespace {

namespace v1 = ::runtime::v1;

// What critest (cri-tools v1.37.0, pkg/validate/pod.go) wants described.
const std::set<std::string> kNames = {"container_blkio_device_usage_total",
                                      "container_cpu_cfs_periods_total",
                                      "container_cpu_cfs_throttled_periods_total",
                                      "container_cpu_cfs_throttled_seconds_total",
                                      "container_cpu_system_seconds_total",
                                      "container_cpu_usage_seconds_total",
                                      "container_cpu_user_seconds_total",
                                      "container_file_descriptors",
                                      "container_fs_inodes_free",
                                      "container_fs_inodes_total",
                                      "container_fs_limit_bytes",
                                      "container_fs_reads_bytes_total",
                                      "container_fs_reads_total",
                                      "container_fs_usage_bytes",
                                      "container_fs_writes_bytes_total",
                                      "container_fs_writes_total",
                                      "container_hugetlb_max_usage_bytes",
                                      "container_hugetlb_usage_bytes",
                                      "container_last_seen",
                                      "container_memory_cache",
                                      "container_memory_failcnt",
                                      "container_memory_failures_total",
                                      "container_memory_kernel_usage",
                                      "container_memory_mapped_file",
                                      "container_memory_max_usage_bytes",
                                      "container_memory_rss",
                                      "container_memory_swap",
                                      "container_memory_usage_bytes",
                                      "container_memory_working_set_bytes",
                                      "container_network_receive_bytes_total",
                                      "container_network_receive_errors_total",
                                      "container_network_receive_packets_dropped_total",
                                      "container_network_receive_packets_total",
                                      "container_network_transmit_bytes_total",
                                      "container_network_transmit_errors_total",
                                      "container_network_transmit_packets_dropped_total",
                                      "container_network_transmit_packets_total",
                                      "container_oom_events_total",
                                      "container_pressure_cpu_stalled_seconds_total",
                                      "container_pressure_cpu_waiting_seconds_total",
                                      "container_pressure_io_stalled_seconds_total",
                                      "container_pressure_io_waiting_seconds_total",
                                      "container_pressure_memory_stalled_seconds_total",
                                      "container_pressure_memory_waiting_seconds_total",
                                      "container_processes",
                                      "container_sockets",
                                      "container_spec_cpu_period",
                                      "container_spec_cpu_quota",
                                      "container_spec_cpu_shares",
                                      "container_spec_memory_limit_bytes",
                                      "container_spec_memory_reservation_limit_bytes",
                                      "container_spec_memory_swap_limit_bytes",
                                      "container_start_time_seconds",
                                      "container_threads",
                                      "container_threads_max",
                                      "container_ulimits_soft"};

constexpr MetricHost kEverything{.hugepages = true, .pressure = true};

ContainerReadings Readings() {
  ContainerReadings readings;
  readings.labels = {.id = "/pod/abc",
                     .name = "abc",
                     .image = "img",
                     .container = "c",
                     .pod = "p",
                     .pod_namespace = "n"};
  cgroup::Stats& stats = readings.stats;
  stats.cpu = {.usage_ns = 3'900'000'000,
               .user_ns = 2'000'000'000,
               .system_ns = 1'000'000'000,
               .periods = 10,
               .throttled_periods = 4,
               .throttled_ns = 1'500'000'000,
               .burst_periods = 6,
               .burst_ns = 2'500'000'000};
  stats.memory.usage_bytes = 100;
  stats.memory.working_set_bytes = 90;
  stats.memory.limit_bytes = 1000;
  stats.memory.swap_limit_bytes = 500;
  stats.memory.max_usage_bytes = 120;
  stats.memory.failures = 2;
  stats.memory.rss_bytes = 50;
  stats.memory.cache_bytes = 40;
  stats.memory.mapped_file_bytes = 30;
  stats.memory.swap_bytes = 20;
  stats.memory.kernel_bytes = 10;
  stats.memory.page_faults = 8;
  stats.memory.major_page_faults = 1;
  stats.memory.oom_kills = 3;
  stats.memory.active_file_bytes = 15;
  stats.memory.inactive_file_bytes = 25;
  stats.memory.high_events = 4;
  stats.memory.file_dirty_bytes = 61;
  stats.memory.file_writeback_bytes = 62;
  stats.memory.pages_scanned = 63;
  stats.memory.pages_stolen = 64;
  stats.memory.file_refaults = 65;
  stats.memory.anon_refaults = 66;
  stats.pids = 7;
  stats.hugetlb = {{"2MB", 4096, 8192}};
  const cgroup::Pressure pressure{.some = {0, 0, 0, 2'000'000'000}, .full = {0, 0, 0, 999}};
  stats.cpu_pressure = stats.memory_pressure = stats.io_pressure = pressure;
  readings.devices = {
      {{.major = 8, .minor = 1, .read_bytes = 11, .write_bytes = 12, .reads = 13, .writes = 14},
       "/dev/sda1"}};
  readings.filesystem = {
      .device = "/dev/sda1", .limit_bytes = 21, .inodes = 22, .inodes_free = 23, .used_bytes = 24};
  readings.resources.set_cpu_quota(20'000);
  readings.created_at_ns = 4'600'000'000;
  readings.started_at_ns = 5'600'000'000;
  readings.now_ns = 9'100'000'000;
  readings.processes = 3;
  readings.file_descriptors = 31;
  readings.sockets = 32;
  readings.max_open_files = 1024;
  return readings;
}

// "name{extra label values}" -> value.
std::map<std::string, uint64_t> Values(const google::protobuf::RepeatedPtrField<v1::Metric>& all) {
  std::map<std::string, uint64_t> values;
  for (const v1::Metric& metric : all) {
    std::string key = metric.name();
    for (int i = 6; i < metric.label_values_size(); ++i) key += " " + metric.label_values(i);
    CHECK(values.emplace(key, metric.value().value()).second);
  }
  return values;
}

std::map<std::string, uint64_t> ValuesOf(const ContainerReadings& readings) {
  v1::ContainerMetrics metrics;
  AddContainerMetrics(kEverything, readings, metrics);
  return Values(metrics.metrics());
}

}  // namespace

TEST_CASE("all metrics that critest wants are described") {
  std::set<std::string> names;
  for (const v1::MetricDescriptor& descriptor : DescribeMetrics(kEverything)) {
    CHECK(names.insert(descriptor.name()).second);
    CHECK_FALSE(descriptor.help().empty());
    CHECK(descriptor.label_keys_size() >= 6);
  }
  CHECK(std::includes(names.begin(), names.end(), kNames.begin(), kNames.end()));
  CHECK(DescribeMetrics({}).size() == names.size() - 8);
}

TEST_CASE("every metric described is emitted, with as many values as it has keys") {
  std::map<std::string, int> keys;
  std::set<std::string> names;
  for (const v1::MetricDescriptor& descriptor : DescribeMetrics(kEverything)) {
    keys[descriptor.name()] = descriptor.label_keys_size();
    names.insert(descriptor.name());
  }
  v1::ContainerMetrics container;
  AddContainerMetrics(kEverything, Readings(), container);
  v1::PodSandboxMetrics pod;
  AddNetworkMetrics(Readings().labels, {{.name = "lo"}, {.name = "eth0"}}, pod);
  std::set<std::string> emitted;
  for (const auto& list : {container.metrics(), pod.metrics()}) {
    for (const v1::Metric& metric : list) {
      INFO(metric.name());
      CHECK(metric.label_values_size() == keys[metric.name()]);
      CHECK(metric.label_values(0) == "/pod/abc");
      CHECK(metric.label_values(5) == "n");
      emitted.insert(metric.name());
    }
  }
  CHECK(emitted == names);
}

TEST_CASE("values have the unit their name says") {
  auto values = ValuesOf(Readings());
  CHECK(values["container_cpu_usage_seconds_total total"] == 3);
  CHECK(values["container_cpu_cfs_throttled_seconds_total"] == 1);
  CHECK(values["container_cpu_cfs_burst_seconds_total"] == 2);
  CHECK(values["container_creation_time_seconds"] == 4);
  CHECK(values["container_memory_total_active_file_bytes"] == 15);
  CHECK(values["container_memory_total_inactive_file_bytes"] == 25);
  CHECK(values["container_memory_file_dirty_bytes"] == 61);
  CHECK(values["container_memory_file_writeback_bytes"] == 62);
  CHECK(values["container_memory_pgscan_total"] == 63);
  CHECK(values["container_memory_pgsteal_total"] == 64);
  CHECK(values["container_memory_workingset_refault_file_total"] == 65);
  CHECK(values["container_memory_workingset_refault_anon_total"] == 66);
  CHECK(values["container_pressure_cpu_waiting_seconds_total"] == 2);
  CHECK(values["container_pressure_cpu_stalled_seconds_total"] == 0);
  CHECK(values["container_start_time_seconds"] == 5);
  CHECK(values["container_last_seen"] == 9);
  CHECK(values["container_memory_working_set_bytes"] == 90);
  CHECK(values["container_memory_failures_total pgmajfault container"] == 1);
  CHECK(values["container_blkio_device_usage_total /dev/sda1 8 1 Write"] == 12);
  CHECK(values["container_fs_reads_total /dev/sda1"] == 13);
  CHECK(values["container_fs_usage_bytes /dev/sda1"] == 24);
  CHECK(values["container_hugetlb_max_usage_bytes 2MB"] == 8192);
  CHECK(values["container_processes"] == 3);
  CHECK(values["container_threads"] == 7);
  CHECK(values["container_threads_max"] == 0);
  CHECK(values["container_ulimits_soft max_open_files"] == 1024);
}

TEST_CASE("what the CPU quota has done is shown only with a quota") {
  ContainerReadings readings = Readings();
  CHECK(ValuesOf(readings)["container_cpu_cfs_periods_total"] == 10);
  CHECK(ValuesOf(readings)["container_spec_cpu_quota"] == 20'000);
  for (const int64_t none : {0, -1}) {
    readings.resources.set_cpu_quota(none);
    for (const auto& [name, value] : ValuesOf(readings)) {
      CHECK(name.find("cfs") == std::string::npos);
      CHECK(name != "container_spec_cpu_quota");
    }
  }
}

TEST_CASE("memory events are those of cgroup v2, and 0 on v1") {
  ContainerReadings readings = Readings();
  readings.stats.memory.high_events.reset();
  CHECK(ValuesOf(readings)["container_memory_failcnt"] == 2);
  CHECK(ValuesOf(readings).at("container_memory_events_max_total") == 0);
  CHECK(ValuesOf(readings).at("container_memory_events_high_total") == 0);
  readings.cgroup_v2 = true;
  readings.stats.memory.high_events = 4;
  CHECK(ValuesOf(readings)["container_memory_events_max_total"] == 2);
  CHECK(ValuesOf(readings)["container_memory_events_high_total"] == 4);
}

TEST_CASE("of a pod's group all but what only a container has") {
  v1::PodSandboxMetrics pod;
  AddPodMetrics(kEverything, Readings(), pod);
  const auto of_pod = Values(pod.metrics());
  std::set<std::string> missing;
  for (const auto& [name, value] : ValuesOf(Readings())) {
    if (of_pod.count(name) == 0) missing.insert(name.substr(0, name.find(' ')));
  }
  CHECK(missing == std::set<std::string>{"container_file_descriptors", "container_fs_inodes_free",
                                         "container_fs_inodes_total", "container_fs_limit_bytes",
                                         "container_fs_usage_bytes", "container_processes",
                                         "container_sockets", "container_ulimits_soft"});
  CHECK(of_pod.at("container_memory_working_set_bytes") == 90);
}

TEST_CASE("times have a fraction, and beside it the whole seconds that kubelet 1.37 reads") {
  v1::ContainerMetrics metrics;
  AddContainerMetrics(kEverything, Readings(), metrics);
  std::map<std::string, double> fractions;
  for (const v1::Metric& metric : metrics.metrics()) {
    CHECK(metric.has_value());
    if (metric.has_double_value()) fractions[metric.name()] = metric.double_value().value();
  }
  CHECK(fractions.size() == 11);
  CHECK(fractions["container_cpu_usage_seconds_total"] == Approx(3.9));
  CHECK(fractions["container_cpu_user_seconds_total"] == Approx(2));
  CHECK(fractions["container_cpu_cfs_throttled_seconds_total"] == Approx(1.5));
  CHECK(fractions["container_cpu_cfs_burst_seconds_total"] == Approx(2.5));
  CHECK(fractions["container_pressure_io_stalled_seconds_total"] == Approx(999e-9));
}

TEST_CASE("limits: what was asked, else the kernel's default; none is 0") {
  ContainerReadings readings = Readings();
  auto values = ValuesOf(readings);
  CHECK(values["container_spec_cpu_period"] == 100000);
  CHECK(values["container_spec_cpu_shares"] == 1024);
  CHECK(values["container_spec_memory_limit_bytes"] == 1000);
  CHECK(values["container_spec_memory_swap_limit_bytes"] == 1500);  // v1 counts both together
  CHECK(values["container_spec_memory_reservation_limit_bytes"] == 0);
  readings.cgroup_v2 = true;
  readings.resources.set_cpu_period(50000);
  readings.resources.set_cpu_shares(2);
  (*readings.resources.mutable_unified())["memory.min"] = "77";
  readings.stats.memory.limit_bytes.reset();
  values = ValuesOf(readings);
  CHECK(values["container_spec_cpu_period"] == 50000);
  CHECK(values["container_spec_cpu_shares"] == 2);
  CHECK(values["container_spec_memory_limit_bytes"] == 0);
  CHECK(values["container_spec_memory_swap_limit_bytes"] == 500);
  CHECK(values["container_spec_memory_reservation_limit_bytes"] == 77);
}

TEST_CASE("network metrics are the pod's, without lo") {
  v1::PodSandboxMetrics pod;
  cni::InterfaceStats eth0{.name = "eth0",
                           .rx_bytes = 1,
                           .rx_packets = 2,
                           .rx_errors = 3,
                           .rx_dropped = 4,
                           .tx_bytes = 5,
                           .tx_packets = 6,
                           .tx_errors = 7,
                           .tx_dropped = 8};
  AddNetworkMetrics({}, {{.name = "lo"}, eth0}, pod);
  auto values = Values(pod.metrics());
  CHECK(values.size() == 8);
  CHECK(values["container_network_receive_bytes_total eth0"] == 1);
  CHECK(values["container_network_receive_packets_dropped_total eth0"] == 4);
  CHECK(values["container_network_transmit_packets_total eth0"] == 6);
  CHECK(values["container_network_transmit_errors_total eth0"] == 7);
}

}  // namespace crisp::metrics
