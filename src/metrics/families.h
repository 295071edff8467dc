// The metrics of cAdvisor that kubelet passes on when the runtime gives them (KEP-2371): names,
// labels and meanings are cAdvisor's, so that dashboards and alerts go on working. Pure.
// Sources: cAdvisor's lib/metrics/prometheus.go v0.60.5, and which of them kubelet 1.37.2 wants of
// it: pkg/kubelet/server/server.go. ARCHITECTURE.md has the differences ("Metrics").
//
// Seconds have their fraction in double_value. `value` is rounded down, for kubelets before 1.38,
// which know no other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cgroup/stats.h"
#include "cni/netns.h"
#include "runtime/v1/api.pb.h"

namespace crisp::metrics {

// The label values every sample begins with. As with cAdvisor, the network is that of the sandbox,
// whose `name` is its id, and the other samples of a pod are of kubelet's group, which has none.
struct MetricLabels {
  std::string id;         // cgroup path, as cAdvisor has it
  std::string name;       // of the container or sandbox, 64 hex digits
  std::string image;      // empty for a pod
  std::string container;  // empty for a pod
  std::string pod;
  std::string pod_namespace;
};

// The file system the writable layer is on.
struct MetricFilesystem {
  std::string device;  // "/dev/sda1"; empty when it is none
  uint64_t limit_bytes = 0;
  uint64_t inodes = 0;
  uint64_t inodes_free = 0;
  uint64_t used_bytes = 0;  // by the container's writable layer
};

// A block device by number and, if it has one, by name ("/dev/sda").
struct MetricDevice {
  cgroup::BlockDeviceStats stats;
  std::string name;
};

// Everything that is known of one container, or of a pod's group, at one moment.
struct ContainerReadings {
  MetricLabels labels;
  cgroup::Stats stats;
  std::vector<MetricDevice> devices;  // stats.block_devices with their names
  MetricFilesystem filesystem;
  ::runtime::v1::LinuxContainerResources resources;
  bool cgroup_v2 = false;
  int64_t created_at_ns = 0;
  int64_t started_at_ns = 0;
  int64_t now_ns = 0;
  uint64_t processes = 0;
  uint64_t file_descriptors = 0;
  uint64_t sockets = 0;
  std::optional<uint64_t> max_open_files;  // soft limit of the first process
};

// What this host cannot measure is not described: kubelet drops what is described and never comes.
struct MetricHost {
  bool hugepages = false;
  bool pressure = false;
};

std::vector<::runtime::v1::MetricDescriptor> DescribeMetrics(const MetricHost& host);
void AddContainerMetrics(const MetricHost& host, const ContainerReadings& readings,
                         ::runtime::v1::ContainerMetrics& metrics);
// Of a pod's group: what `readings` has only of containers (file systems, open files, processes) is
// left out.
void AddPodMetrics(const MetricHost& host, const ContainerReadings& readings,
                   ::runtime::v1::PodSandboxMetrics& metrics);
// Of the pod's interfaces; `lo` is left out.
void AddNetworkMetrics(const MetricLabels& labels,
                       const std::vector<cni::InterfaceStats>& interfaces,
                       ::runtime::v1::PodSandboxMetrics& metrics);

}  // namespace crisp::metrics
