// The metrics that cAdvisor has in kubelet for containerd, by name and label, beside those that
// crispd gives in their place. From cAdvisor's lib/metrics/prometheus.go v0.60.5, for the sets that
// kubelet 1.37.2 includes (pkg/kubelet/server/server.go).
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "metrics/families.h"

namespace crisp::metrics {
namespace {

// Labels besides those that all have.
using Labels = std::vector<std::string>;

const std::map<std::string, Labels>& CAdvisor() {
  static const auto* const all = new std::map<std::string, Labels>{
      {"container_blkio_device_usage_total", {"device", "major", "minor", "operation"}},
      {"container_cpu_cfs_burst_periods_total", {}},
      {"container_cpu_cfs_burst_seconds_total", {}},
      {"container_cpu_cfs_periods_total", {}},
      {"container_cpu_cfs_throttled_periods_total", {}},
      {"container_cpu_cfs_throttled_seconds_total", {}},
      {"container_cpu_system_seconds_total", {}},
      {"container_cpu_usage_seconds_total", {"cpu"}},
      {"container_cpu_user_seconds_total", {}},
      {"container_creation_time_seconds", {}},
      {"container_file_descriptors", {}},
      {"container_fs_inodes_free", {"device"}},
      {"container_fs_inodes_total", {"device"}},
      {"container_fs_io_cost_indebt_seconds_total", {"device"}},
      {"container_fs_io_cost_indelay_seconds_total", {"device"}},
      {"container_fs_io_cost_usage_seconds_total", {"device"}},
      {"container_fs_io_cost_wait_seconds_total", {"device"}},
      {"container_fs_io_current", {"device"}},
      {"container_fs_io_time_seconds_total", {"device"}},
      {"container_fs_io_time_weighted_seconds_total", {"device"}},
      {"container_fs_limit_bytes", {"device"}},
      {"container_fs_read_seconds_total", {"device"}},
      {"container_fs_reads_bytes_total", {"device"}},
      {"container_fs_reads_merged_total", {"device"}},
      {"container_fs_reads_total", {"device"}},
      {"container_fs_sector_reads_total", {"device"}},
      {"container_fs_sector_writes_total", {"device"}},
      {"container_fs_usage_bytes", {"device"}},
      {"container_fs_write_seconds_total", {"device"}},
      {"container_fs_writes_bytes_total", {"device"}},
      {"container_fs_writes_merged_total", {"device"}},
      {"container_fs_writes_total", {"device"}},
      {"container_health_state", {}},
      {"container_last_seen", {}},
      {"container_memory_cache", {}},
      {"container_memory_events_high_total", {}},
      {"container_memory_events_max_total", {}},
      {"container_memory_failcnt", {}},
      {"container_memory_failures_total", {"failure_type", "scope"}},
      {"container_memory_file_dirty_bytes", {}},
      {"container_memory_file_writeback_bytes", {}},
      {"container_memory_kernel_usage", {}},
      {"container_memory_mapped_file", {}},
      {"container_memory_max_usage_bytes", {}},
      {"container_memory_pgscan_total", {}},
      {"container_memory_pgsteal_total", {}},
      {"container_memory_rss", {}},
      {"container_memory_swap", {}},
      {"container_memory_total_active_file_bytes", {}},
      {"container_memory_total_inactive_file_bytes", {}},
      {"container_memory_usage_bytes", {}},
      {"container_memory_working_set_bytes", {}},
      {"container_memory_workingset_refault_anon_total", {}},
      {"container_memory_workingset_refault_file_total", {}},
      {"container_network_receive_bytes_total", {"interface"}},
      {"container_network_receive_errors_total", {"interface"}},
      {"container_network_receive_packets_dropped_total", {"interface"}},
      {"container_network_receive_packets_total", {"interface"}},
      {"container_network_transmit_bytes_total", {"interface"}},
      {"container_network_transmit_errors_total", {"interface"}},
      {"container_network_transmit_packets_dropped_total", {"interface"}},
      {"container_network_transmit_packets_total", {"interface"}},
      {"container_oom_events_total", {}},
      {"container_pressure_cpu_stalled_seconds_total", {}},
      {"container_pressure_cpu_waiting_seconds_total", {}},
      {"container_pressure_io_stalled_seconds_total", {}},
      {"container_pressure_io_waiting_seconds_total", {}},
      {"container_pressure_memory_stalled_seconds_total", {}},
      {"container_pressure_memory_waiting_seconds_total", {}},
      {"container_processes", {}},
      {"container_sockets", {}},
      {"container_spec_cpu_period", {}},
      {"container_spec_cpu_quota", {}},
      {"container_spec_cpu_shares", {}},
      {"container_spec_memory_limit_bytes", {}},
      {"container_spec_memory_reservation_limit_bytes", {}},
      {"container_spec_memory_swap_limit_bytes", {}},
      {"container_start_time_seconds", {}},
      {"container_threads", {}},
      {"container_threads_max", {}},
      {"container_ulimits_soft", {"ulimit"}},
  };
  return *all;
}

// ARCHITECTURE.md, "Metrics", has the reasons.
constexpr const char* kLeftOut[] = {"container_fs_io_cost_indebt_seconds_total",
                                    "container_fs_io_cost_indelay_seconds_total",
                                    "container_fs_io_cost_usage_seconds_total",
                                    "container_fs_io_cost_wait_seconds_total",
                                    "container_fs_io_current",
                                    "container_fs_io_time_seconds_total",
                                    "container_fs_io_time_weighted_seconds_total",
                                    "container_fs_read_seconds_total",
                                    "container_fs_reads_merged_total",
                                    "container_fs_sector_reads_total",
                                    "container_fs_sector_writes_total",
                                    "container_fs_write_seconds_total",
                                    "container_fs_writes_merged_total",
                                    "container_health_state"};

}  // namespace

TEST_CASE("metrics have the names and labels that cAdvisor has for containerd in kubelet") {
  std::map<std::string, Labels> expected = CAdvisor();
  for (const char* name : kLeftOut) {
    INFO(name);
    CHECK(expected.erase(name) == 1);
  }
  expected["container_hugetlb_usage_bytes"] = {"pagesize"};
  expected["container_hugetlb_max_usage_bytes"] = {"pagesize"};
  std::map<std::string, Labels> described;
  for (const auto& one : DescribeMetrics({.hugepages = true, .pressure = true})) {
    const Labels keys = {one.label_keys().begin(), one.label_keys().end()};
    REQUIRE(keys.size() >= 6);
    CHECK(Labels(keys.begin(), keys.begin() + 6) ==
          Labels{"id", "name", "image", "container", "pod", "namespace"});
    described[one.name()] = Labels(keys.begin() + 6, keys.end());
  }
  CHECK(described == expected);
}

}  // namespace crisp::metrics
