#include "base/status_macros.h"
#include "cri/filters.h"
#include "cri/handlers.h"
#include "cri/stats_message.h"

namespace crisp::cri {
namespace {

using Containers = std::vector<runtime::ContainerPtr>;

v1::PodSandboxStats PodStats(const Api& runtime, sandbox::Sandbox& sandbox,
                             const Containers& containers) {
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
    usages.push_back(runtime.stats.Container(*container));
    *pod.add_containers() = StatsMessage(*container, usages.back(), layers_root);
  }
  FillPod(runtime.stats.Pod(sandbox, usages), pod);
  return message;
}

// Those that have not ended.
Containers Living(const Containers& containers) {
  Containers living;
  for (const runtime::ContainerPtr& container : containers) {
    if (container->state() != v1::CONTAINER_EXITED) living.push_back(container);
  }
  return living;
}

}  // namespace

absl::StatusOr<v1::PodSandboxStatsResponse> PodSandboxStats(
    const Api& runtime, const v1::PodSandboxStatsRequest& request, const Call&) {
  CRISP_ASSIGN_OR_RETURN(const runtime::SandboxPtr sandbox,
                         runtime.objects.FindVisible(request.pod_sandbox_id()));
  const Containers containers = Living(runtime.objects.ContainersOf(sandbox->id()));
  runtime.stats.Refresh(containers, {sandbox});
  v1::PodSandboxStatsResponse response;
  *response.mutable_stats() = PodStats(runtime, *sandbox, containers);
  return response;
}

absl::StatusOr<v1::ListPodSandboxStatsResponse> ListPodSandboxStats(
    const Api& runtime, const v1::ListPodSandboxStatsRequest& request, const Call&) {
  const v1::PodSandboxStatsFilter& filter = request.filter();
  std::map<base::SandboxId, Containers> containers = runtime.objects.ContainersBySandbox();
  std::vector<runtime::SandboxPtr> sandboxes;
  Containers of_them;
  for (const runtime::SandboxPtr& sandbox : runtime.objects.sandboxes.List()) {
    if (!sandbox->visible() || !sandbox->ready() || !IdMatches(filter.id(), sandbox->id().str()))
      continue;
    const bool labels_match = sandbox->Read([&](const store::SandboxRecord& record) {
      return LabelsMatch(filter.label_selector(), record.config.labels());
    });
    if (!labels_match) continue;
    Containers& living = containers[sandbox->id()] = Living(containers[sandbox->id()]);
    of_them.insert(of_them.end(), living.begin(), living.end());
    sandboxes.push_back(sandbox);
  }
  runtime.stats.Refresh(of_them, sandboxes);
  v1::ListPodSandboxStatsResponse response;
  for (const runtime::SandboxPtr& sandbox : sandboxes)
    *response.add_stats() = PodStats(runtime, *sandbox, containers[sandbox->id()]);
  return response;
}

}  // namespace crisp::cri
