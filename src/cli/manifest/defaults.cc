#include "cli/manifest/defaults.h"

namespace crisp::cli {
namespace {

// Always for the tag latest, which a reference without tag and digest means.
PullPolicy PolicyFor(const std::string& image) {
  const size_t at = image.find('@');
  const std::string name = image.substr(0, at);
  const size_t colon = name.rfind(':');
  const bool has_tag = colon != std::string::npos && name.find('/', colon) == std::string::npos;
  const bool is_latest = has_tag ? name.substr(colon + 1) == "latest" : at == std::string::npos;
  return is_latest ? PullPolicy::kAlways : PullPolicy::kIfNotPresent;
}

void ApplyToContainer(bool host_network, Container& container) {
  if (container.pull_policy == PullPolicy::kUnset)
    container.pull_policy = PolicyFor(container.image);
  // Only adds names that are not there.
  container.resources.requests.insert(container.resources.limits.begin(),
                                      container.resources.limits.end());
  if (!host_network) return;
  for (ContainerPort& port : container.ports) port.host_port = port.container_port;
}

}  // namespace

void ApplyDefaults(PodSpec& spec) {
  for (auto* list : {&spec.init_containers, &spec.containers}) {
    for (Container& container : *list) ApplyToContainer(spec.host_network, container);
  }
  for (Volume& volume : spec.volumes) {
    if (volume.image.has_value() && volume.image->pull_policy == PullPolicy::kUnset)
      volume.image->pull_policy = PolicyFor(volume.image->reference);
  }
}

}  // namespace crisp::cli
