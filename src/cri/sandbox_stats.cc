#include "base/clock.h"
#include "base/status_macros.h"
#include "cgroup/processes.h"
#include "cni/netns.h"
#include "cri/filters.h"
#include "cri/stats_message.h"
#include "runtime/runtime.h"

namespace crisp::cri {
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

}  // namespace

std::map<std::string, int> Service::PodsByCgroupParent() const {
  std::map<std::string, int> pods;
  for (const SandboxPtr& sandbox : sandboxes_.List())
    ++pods[sandbox->Read([](const store::SandboxRecord& record) { return record.cgroup_parent; })];
  return pods;
}

v1::PodSandboxStats Service::StatsOf(sandbox::Sandbox& sandbox, bool own_parent) {
  const store::SandboxRecord record = sandbox.record();
  const int64_t now = base::WallNanos();
  v1::PodSandboxStats message;
  v1::PodSandboxAttributes& attributes = *message.mutable_attributes();
  attributes.set_id(record.id);
  *attributes.mutable_metadata() = record.config.metadata();
  *attributes.mutable_labels() = record.config.labels();
  *attributes.mutable_annotations() = record.config.annotations();
  v1::LinuxPodSandboxStats& pod = *message.mutable_linux();
  std::vector<std::string> leaves = {cgroups_.Path(record.cgroup_parent, record.id).value_or("")};
  for (const ContainerPtr& container : ContainersOf(record.id)) {
    if (container->state() == v1::CONTAINER_EXITED) continue;
    leaves.push_back(CgroupPath(*container));
    *pod.add_containers() = StatsOf(*container);
  }
  // What ends meanwhile has no numbers; that fails no list.
  const absl::StatusOr<PodGroups> groups = ReadPod(cgroups_, own_parent, leaves);
  if (groups.ok()) {
    const cgroup::Stats& usage = groups->usage;
    std::optional<uint64_t> nano_cores;
    if (usage.cpu.usage_ns.has_value())
      nano_cores = sandbox.cpu_rate().Update(*usage.cpu.usage_ns, base::MonotonicNanos());
    FillCpu(usage, nano_cores, now, *pod.mutable_cpu());
    FillMemory(usage, now, *pod.mutable_memory());
    if (usage.io_pressure.has_value()) FillIo(usage, now, *pod.mutable_io());
    uint64_t processes = 0;
    for (const std::string& path : groups->paths)
      processes += cgroup::ReadProcesses(cgroups_.layout(), path).size();
    pod.mutable_process()->set_timestamp(now);
    pod.mutable_process()->mutable_process_count()->set_value(processes);
  }
  const absl::StatusOr<std::vector<cni::InterfaceStats>> interfaces = InterfacesOf(record);
  v1::NetworkUsage network;
  if (interfaces.ok() && FillNetwork(*interfaces, now, network))
    *pod.mutable_network() = std::move(network);
  return message;
}

absl::StatusOr<std::vector<cni::InterfaceStats>> Service::InterfacesOf(
    const store::SandboxRecord& record) const {
  if (record.netns_path.empty()) return absl::NotFoundError("the pod uses the host's network");
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd netns, cni::OpenNetns(record.netns_path));
  return cni::ReadInterfaceStats(netns.get());
}

absl::StatusOr<v1::PodSandboxStatsResponse> Service::PodSandboxStats(
    const v1::PodSandboxStatsRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const SandboxPtr sandbox, sandboxes_.Find(request.pod_sandbox_id()));
  if (!sandbox->visible()) return absl::NotFoundError("sandbox is still being made");
  const std::string parent =
      sandbox->Read([](const store::SandboxRecord& record) { return record.cgroup_parent; });
  v1::PodSandboxStatsResponse response;
  *response.mutable_stats() =
      StatsOf(*sandbox, !parent.empty() && PodsByCgroupParent()[parent] == 1);
  return response;
}

absl::StatusOr<v1::ListPodSandboxStatsResponse> Service::ListPodSandboxStats(
    const v1::ListPodSandboxStatsRequest& request, const Call&) {
  const v1::PodSandboxStatsFilter& filter = request.filter();
  std::map<std::string, int> pods = PodsByCgroupParent();
  v1::ListPodSandboxStatsResponse response;
  for (const SandboxPtr& sandbox : sandboxes_.List()) {
    if (!sandbox->visible() || !sandbox->ready() || !IdMatches(filter.id(), sandbox->id()))
      continue;
    std::string parent;
    const bool labels_match = sandbox->Read([&](const store::SandboxRecord& record) {
      parent = record.cgroup_parent;
      return LabelsMatch(filter.label_selector(), record.config.labels());
    });
    if (!labels_match) continue;
    *response.add_stats() = StatsOf(*sandbox, !parent.empty() && pods[parent] == 1);
  }
  return response;
}

}  // namespace crisp::cri
