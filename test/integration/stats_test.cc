// Stats of pods, and the metrics that kubelet exports.
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/file.h"
#include "integration/cgroup_files.h"
#include "integration/pod.h"

using namespace crisp;
using namespace crisp::test;

namespace {

using Runtime = v1::RuntimeService::Stub;

v1::PodSandboxStats StatsOf(Pod& pod) {
  v1::PodSandboxStatsRequest request;
  request.set_pod_sandbox_id(pod.id());
  return pod.daemon().Call(pod.daemon().runtime(), &Runtime::PodSandboxStats, request).stats();
}

uint64_t CpuOf(Pod& pod) { return StatsOf(pod).linux().cpu().usage_core_nano_seconds().value(); }

// A cgroup parent for this pod only, as kubelet makes one for every pod.
void OwnParent(v1::PodSandboxConfig& config) {
  config.mutable_linux()->set_cgroup_parent(
      absl::StrCat(config.linux().cgroup_parent(), "/pod", config.metadata().uid()));
}

// Uses 0.3 s of CPU time, then logs "ready".
std::vector<std::string> Burner() {
  return {"sh", "-c",
          "while [ $(cut -d' ' -f14 /proc/$$/stat) -lt 30 ]; do i=0; while [ $i -lt 20000 ]; do "
          "i=$((i+1)); done; done; echo ready; sleep 1000"};
}

// The number of processes that the kernel lists.
uint64_t Processes(Pod& pod, const std::string& container) {
  const std::vector<std::string> pids = absl::StrSplit(
      CgroupFile(pod, container, "pids", "cgroup.procs", "cgroup.procs"), '\n', absl::SkipEmpty());
  return pids.size();
}

v1::ListPodSandboxStatsResponse List(Daemon& daemon,
                                     const std::function<void(v1::PodSandboxStatsFilter&)>& set) {
  v1::ListPodSandboxStatsRequest request;
  set(*request.mutable_filter());
  return daemon.Call(daemon.runtime(), &Runtime::ListPodSandboxStats, request);
}

// The samples of one pod and its containers by name.
using Samples = std::map<std::string, std::vector<v1::Metric>>;

Samples MetricsOf(Pod& pod) {
  Samples samples;
  const v1::ListPodSandboxMetricsResponse all =
      pod.daemon().Call(pod.daemon().runtime(), &Runtime::ListPodSandboxMetrics, {});
  for (const v1::PodSandboxMetrics& one : all.pod_metrics()) {
    if (one.pod_sandbox_id() != pod.id()) continue;
    for (const v1::Metric& metric : one.metrics()) samples[metric.name()].push_back(metric);
    for (const v1::ContainerMetrics& container : one.container_metrics()) {
      for (const v1::Metric& metric : container.metrics()) samples[metric.name()].push_back(metric);
    }
  }
  return samples;
}

uint64_t Value(Samples& samples, const std::string& name) {
  INFO(name);
  REQUIRE(samples[name].size() == 1);
  return samples[name][0].value().value();
}

}  // namespace

TEST_CASE("a pod's stats have cpu, memory, network, processes and containers") {
  Pod pod(Daemon::Shared());
  const std::string burner = pod.Run(Burner());
  const std::string idle = pod.Run({"sh", "-c", "sleep 1000 & sleep 1000"});
  pod.AwaitLog(burner, "ready");
  const v1::PodSandboxStats first = StatsOf(pod);
  CHECK(first.attributes().id() == pod.id());
  CHECK(first.attributes().metadata().name() == pod.config().metadata().name());
  CHECK(first.linux().cpu().timestamp() > 0);
  CHECK(first.linux().cpu().usage_core_nano_seconds().value() > 300'000'000);
  CHECK_FALSE(first.linux().cpu().has_usage_nano_cores());
  CHECK(first.linux().memory().working_set_bytes().value() > 100'000);
  CHECK(first.linux().memory().usage_bytes().value() >=
        first.linux().memory().working_set_bytes().value());
  REQUIRE(Processes(pod, idle) >= 2);
  CHECK(first.linux().process().process_count().value() ==
        Processes(pod, pod.id()) + Processes(pod, burner) + Processes(pod, idle));
  REQUIRE(first.linux().containers_size() == 2);
  for (const v1::ContainerStats& container : first.linux().containers()) {
    CHECK((container.attributes().id() == burner || container.attributes().id() == idle));
    CHECK(container.memory().working_set_bytes().value() > 0);
    CHECK(container.writable_layer().has_used_bytes());
  }
  CHECK(first.linux().network().default_interface().name() == "eth0");
  const uint64_t sent = first.linux().network().default_interface().tx_bytes().value();
  // The subnet's first address is the bridge.
  const std::string ip = pod.Ip();
  const std::string gateway = ip.substr(0, ip.rfind('.')) + ".1";
  REQUIRE(pod.Exec(idle, {"ping", "-c", "3", "-i", "0.2", "-s", "1000", gateway}).exit_code == 0);
  const v1::PodSandboxStats second = StatsOf(pod);
  CHECK(second.linux().network().default_interface().tx_bytes().value() >= sent + 3 * 1000);
  CHECK(second.linux().network().default_interface().rx_bytes().value() >= 3 * 1000);
  CHECK(second.linux().cpu().timestamp() > first.linux().cpu().timestamp());
}

TEST_CASE("usage_nano_cores is the usage between two readings") {
  Pod pod(Daemon::Shared());
  const std::string container =
      pod.Run({"sh", "-c", "while true; do i=$((i+1)); done"}, [](v1::ContainerConfig& config) {
        config.mutable_linux()->mutable_resources()->set_cpu_period(100000);
        config.mutable_linux()->mutable_resources()->set_cpu_quota(20000);
      });
  (void)StatsOf(pod);
  usleep(1'500'000);  // the window that is measured
  const v1::PodSandboxStats stats = StatsOf(pod);
  REQUIRE(stats.linux().cpu().has_usage_nano_cores());
  // A fifth of a core, or less on a busy machine.
  CHECK(stats.linux().cpu().usage_nano_cores().value() > 10'000'000);
  CHECK(stats.linux().cpu().usage_nano_cores().value() < 300'000'000);
  REQUIRE(stats.linux().containers_size() == 1);
  CHECK(stats.linux().containers(0).cpu().has_usage_nano_cores());
}

TEST_CASE("a pod with its own cgroup keeps its counters when a container is removed") {
  Pod pod(Daemon::Shared(), OwnParent);
  const std::string burner = pod.Run(Burner());
  pod.AwaitLog(burner, "ready");
  const uint64_t before = CpuOf(pod);
  CHECK(before > 300'000'000);
  pod.StopContainer(burner, 0);
  pod.RemoveContainer(burner);
  CHECK(CpuOf(pod) >= before);
  CHECK(StatsOf(pod).linux().process().process_count().value() == 1);
}

TEST_CASE("a host-network pod reports no network stats") {
  Pod pod(Daemon::Shared(), [](v1::PodSandboxConfig& config) {
    config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_network(
        v1::NODE);
  });
  CHECK_FALSE(StatsOf(pod).linux().has_network());
  CHECK(StatsOf(pod).linux().has_cpu());
}

TEST_CASE("pod stats are filtered by id and labels; pods that ended are left out") {
  Daemon& daemon = Daemon::Shared();
  const auto label = [](v1::PodSandboxConfig& config) { (*config.mutable_labels())["app"] = "a"; };
  Pod labelled(daemon, label);
  Pod other(daemon);
  Pod stopped(daemon, label);
  stopped.Stop();
  const auto by_label = List(daemon, [](v1::PodSandboxStatsFilter& filter) {
    (*filter.mutable_label_selector())["app"] = "a";
  });
  REQUIRE(by_label.stats_size() == 1);
  CHECK(by_label.stats(0).attributes().id() == labelled.id());
  const auto by_id =
      List(daemon, [&](v1::PodSandboxStatsFilter& filter) { filter.set_id(other.id()); });
  REQUIRE(by_id.stats_size() == 1);
  CHECK(by_id.stats(0).attributes().id() == other.id());
  CHECK(List(daemon, [](v1::PodSandboxStatsFilter&) {}).stats_size() == 2);
  v1::PodSandboxStatsRequest unknown;
  unknown.set_pod_sandbox_id("0123456789");
  v1::PodSandboxStatsResponse response;
  CHECK(daemon.Try(daemon.runtime(), &Runtime::PodSandboxStats, unknown, &response).error_code() ==
        grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("every described metric exists for a container that has just started") {
  Daemon& daemon = Daemon::Shared();
  Pod pod(daemon);
  pod.Run({"sleep", "1000"});
  const auto described = daemon.Call(daemon.runtime(), &Runtime::ListMetricDescriptors, {});
  REQUIRE(described.descriptors_size() >= 45);
  Samples samples = MetricsOf(pod);
  size_t found = 0;
  for (const v1::MetricDescriptor& descriptor : described.descriptors()) {
    INFO(descriptor.name());
    // Samples of block devices, and of huge pages on hosts without any, appear with the first use,
    // those of a CPU quota with a quota.
    if (samples[descriptor.name()].empty()) {
      const bool may = descriptor.name().find("blkio") != std::string::npos ||
                       descriptor.name().find("container_fs_reads") == 0 ||
                       descriptor.name().find("container_fs_writes") == 0 ||
                       descriptor.name().find("hugetlb") != std::string::npos ||
                       descriptor.name().find("container_cpu_cfs_") == 0 ||
                       descriptor.name() == "container_spec_cpu_quota" ||
                       descriptor.name() == "container_ulimits_soft";
      CHECK(may);
      continue;
    }
    ++found;
    for (const v1::Metric& metric : samples[descriptor.name()])
      CHECK(metric.label_values_size() == descriptor.label_keys_size());
  }
  CHECK(found >= 40);
  CHECK(samples.size() <= static_cast<size_t>(described.descriptors_size()));
}

TEST_CASE("metrics have the kernel's values") {
  Pod pod(Daemon::Shared());
  const std::string container = pod.Run(
      {"sh", "-c", "dd if=/dev/zero of=/big bs=1M count=3 2>/dev/null; echo ready; sleep 1000"},
      [](v1::ContainerConfig& config) {
        v1::LinuxContainerResources& resources = *config.mutable_linux()->mutable_resources();
        resources.set_cpu_period(100000);
        resources.set_cpu_quota(20000);
        resources.set_cpu_shares(1024);
        resources.set_memory_limit_in_bytes(64 << 20);
        resources.set_memory_swap_limit_in_bytes(64 << 20);
      });
  pod.AwaitLog(container, "ready");
  Samples samples = MetricsOf(pod);
  CHECK(Value(samples, "container_spec_memory_limit_bytes") == 64 << 20);
  CHECK(Value(samples, "container_spec_memory_swap_limit_bytes") == (OnV1() ? 64 << 20 : 0));
  CHECK(Value(samples, "container_spec_cpu_quota") == 20000);
  CHECK(Value(samples, "container_spec_cpu_period") == 100000);
  CHECK(Value(samples, "container_spec_cpu_shares") == 1024);
  CHECK(Value(samples, "container_processes") == Processes(pod, container));
  CHECK(Value(samples, "container_threads") == Processes(pod, container));
  CHECK(Value(samples, "container_file_descriptors") >= 3 * Processes(pod, container));
  CHECK(Value(samples, "container_sockets") == 0);
  CHECK(Value(samples, "container_oom_events_total") == 0);
  CHECK(Value(samples, "container_memory_max_usage_bytes") >= 3 << 20);
  CHECK(Value(samples, "container_memory_cache") >= 3 << 20);
  // Measured every 10 s.
  for (int i = 0; i < 600 && Value(samples, "container_fs_usage_bytes") < 3 << 20; ++i) {
    usleep(50'000);
    samples = MetricsOf(pod);
  }
  const uint64_t written = Value(samples, "container_fs_usage_bytes");
  CHECK(written >= 3 << 20);
  CHECK(written < 4 << 20);
  CHECK(Value(samples, "container_fs_limit_bytes") > 1 << 30);
  const uint64_t now = static_cast<uint64_t>(base::WallNanos() / 1'000'000'000);
  CHECK(now - Value(samples, "container_start_time_seconds") < 60);
  CHECK(now - Value(samples, "container_last_seen") < 10);
  uint64_t usage = 0;
  REQUIRE(absl::SimpleAtoi(
      CgroupFile(pod, container, "memory", "memory.max_usage_in_bytes", "memory.peak"), &usage));
  CHECK(Value(samples, "container_memory_max_usage_bytes") <= usage);
  const v1::Metric& sample = samples["container_processes"][0];
  CHECK(sample.label_values(1) == container);
  CHECK(sample.label_values(2) == kBusybox);
  CHECK(sample.label_values(4) == pod.config().metadata().name());
  CHECK(sample.label_values(5) == "test");
  REQUIRE(samples["container_network_receive_bytes_total"].size() == 1);
  CHECK(samples["container_network_receive_bytes_total"][0].label_values(6) == "eth0");
}

TEST_CASE("kubelet's group of a pod has metrics of its own, with the pod's labels") {
  Pod pod(Daemon::Shared(), OwnParent);
  const std::string container = pod.Run(Burner());
  pod.AwaitLog(container, "ready");
  Samples samples = MetricsOf(pod);
  const std::vector<v1::Metric>& memory = samples["container_memory_working_set_bytes"];
  REQUIRE(memory.size() == 2);  // the pod's come first
  CHECK(memory[0].label_values(0) == pod.config().linux().cgroup_parent());
  CHECK(memory[0].label_values(1).empty());
  CHECK(memory[0].label_values(3).empty());
  CHECK(memory[0].label_values(4) == pod.config().metadata().name());
  CHECK(memory[0].label_values(5) == "test");
  CHECK(memory[0].value().value() > 0);
  CHECK(memory[1].label_values(1) == container);
  CHECK(samples["container_processes"].size() == 1);
}

TEST_CASE("containers that vanish meanwhile do not make a list of stats or metrics fail") {
  Daemon& daemon = Daemon::Shared();
  daemon.Pull(kBusybox);
  std::atomic<bool> done{false};
  std::atomic<int> failures{0};
  std::thread lister([&] {
    while (!done) {
      v1::ListPodSandboxStatsResponse stats;
      v1::ListPodSandboxMetricsResponse metrics;
      v1::ListContainerStatsResponse containers;
      failures += !daemon.Try(daemon.runtime(), &Runtime::ListPodSandboxStats, {}, &stats).ok();
      failures += !daemon.Try(daemon.runtime(), &Runtime::ListPodSandboxMetrics, {}, &metrics).ok();
      failures += !daemon.Try(daemon.runtime(), &Runtime::ListContainerStats, {}, &containers).ok();
    }
  });
  for (int i = 0; i < 10; ++i) {
    Pod pod(daemon);
    const std::string container = pod.Run({"sleep", "1000"});
    pod.RemoveContainer(container);
  }
  done = true;
  lister.join();
  CHECK(failures == 0);
}
