#include "base/clock.h"
#include "base/status_macros.h"
#include "cri/filters.h"
#include "cri/handlers.h"
#include "cri/stats_message.h"

namespace crisp::cri {
namespace {

using Containers = std::vector<runtime::ContainerPtr>;

v1::PodSandboxStats PodStats(const Api& runtime, sandbox::Sandbox& sandbox, bool own_parent,
                             const Containers& containers) {
  const int64_t now = base::WallNanos();
  const std::string layers_root = runtime.stats.LayersRoot();
  v1::PodSandboxStats message;
  sandbox.Read([&](const store::SandboxRecord& record) {
    v1::PodSandboxAttributes& attributes = *message.mutable_attributes();
    attributes.set_id(record.id.str());
    *attributes.mutable_metadata() = record.config.metadata();
    *attributes.mutable_labels() = record.config.labels();
    *attributes.mutable_annotations() = record.config.annotations();
  });
  v1::LinuxPodSandboxStats& pod = *message.mutable_linux();
  std::vector<runtime::ContainerUsage> usages;
  for (const runtime::ContainerPtr& container : containers) {
    if (container->state() == v1::CONTAINER_EXITED) continue;
    usages.push_back(runtime.stats.Container(*container));
    *pod.add_containers() = StatsMessage(*container, usages.back(), layers_root, now);
  }
  FillPod(runtime.stats.Pod(sandbox, own_parent, usages), now, pod);
  return message;
}

}  // namespace

absl::StatusOr<v1::PodSandboxStatsResponse> PodSandboxStats(
    const Api& runtime, const v1::PodSandboxStatsRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::SandboxPtr sandbox,
                         runtime.objects.FindVisible(request.pod_sandbox_id()));
  const std::string parent =
      sandbox->Read([](const store::SandboxRecord& record) { return record.cgroup_parent; });
  const bool own_parent = !parent.empty() && runtime.objects.PodsByCgroupParent()[parent] == 1;
  v1::PodSandboxStatsResponse response;
  *response.mutable_stats() =
      PodStats(runtime, *sandbox, own_parent, runtime.objects.ContainersOf(sandbox->id()));
  return response;
}

absl::StatusOr<v1::ListPodSandboxStatsResponse> ListPodSandboxStats(
    const Api& runtime, const v1::ListPodSandboxStatsRequest& request, const Call&) {
  const v1::PodSandboxStatsFilter& filter = request.filter();
  std::map<std::string, int> pods = runtime.objects.PodsByCgroupParent();
  std::map<base::SandboxId, Containers> containers = runtime.objects.ContainersBySandbox();
  v1::ListPodSandboxStatsResponse response;
  for (const runtime::SandboxPtr& sandbox : runtime.objects.sandboxes.List()) {
    if (!sandbox->visible() || !sandbox->ready() || !IdMatches(filter.id(), sandbox->id().str()))
      continue;
    std::string parent;
    const bool labels_match = sandbox->Read([&](const store::SandboxRecord& record) {
      parent = record.cgroup_parent;
      return LabelsMatch(filter.label_selector(), record.config.labels());
    });
    if (!labels_match) continue;
    *response.add_stats() = PodStats(runtime, *sandbox, !parent.empty() && pods[parent] == 1,
                                     containers[sandbox->id()]);
  }
  return response;
}

}  // namespace crisp::cri
