#include "base/status_macros.h"
#include "cri/handlers.h"
#include "metrics/families.h"

namespace crisp::cri {
namespace {

// Without samples for a container that ends at this moment.
v1::ContainerMetrics MetricsOf(const Api& runtime, container::Container& container,
                               const store::SandboxRecord& pod) {
  v1::ContainerMetrics message;
  message.set_container_id(container.id().str());
  const absl::StatusOr<metrics::ContainerReadings> readings = runtime.stats.Metrics(container, pod);
  if (readings.ok()) metrics::AddContainerMetrics(runtime.stats.Host(), *readings, message);
  return message;
}

}  // namespace

absl::StatusOr<v1::ListMetricDescriptorsResponse> ListMetricDescriptors(
    const Api& runtime, const v1::ListMetricDescriptorsRequest&, const Call&) {
  v1::ListMetricDescriptorsResponse response;
  for (v1::MetricDescriptor& descriptor : metrics::DescribeMetrics(runtime.stats.Host()))
    *response.add_descriptors() = std::move(descriptor);
  return response;
}

absl::StatusOr<v1::ListPodSandboxMetricsResponse> ListPodSandboxMetrics(
    const Api& runtime, const v1::ListPodSandboxMetricsRequest&, const Call&) {
  v1::ListPodSandboxMetricsResponse response;
  auto containers = runtime.objects.ContainersBySandbox();
  for (const runtime::SandboxPtr& sandbox : runtime.objects.sandboxes.List()) {
    if (!sandbox->visible() || !sandbox->ready()) continue;
    const store::SandboxRecord record = sandbox->record();
    v1::PodSandboxMetrics& pod = *response.add_pod_metrics();
    pod.set_pod_sandbox_id(record.id.str());
    const absl::StatusOr<std::vector<cni::InterfaceStats>> interfaces =
        runtime.stats.Interfaces(*sandbox);
    if (interfaces.ok())
      metrics::AddNetworkMetrics(runtime.stats.PodLabels(record), *interfaces, pod);
    const absl::StatusOr<metrics::ContainerReadings> whole = runtime.stats.PodMetrics(*sandbox);
    if (whole.ok()) metrics::AddPodMetrics(runtime.stats.Host(), *whole, pod);
    for (const runtime::ContainerPtr& container : containers[record.id]) {
      if (container->running())
        *pod.add_container_metrics() = MetricsOf(runtime, *container, record);
    }
  }
  return response;
}

}  // namespace crisp::cri
