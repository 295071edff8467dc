#include "cli/pod_dns.h"
#include "cli/pod_messages.h"
#include "cli/pod_resources.h"

namespace crisp::cli {
namespace {

::runtime::v1::Protocol ProtocolOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::kUdp:
      return ::runtime::v1::Protocol::UDP;
    case Protocol::kSctp:
      return ::runtime::v1::Protocol::SCTP;
    case Protocol::kTcp:
      break;
  }
  return ::runtime::v1::Protocol::TCP;
}

void AddPorts(const Container& container, ::runtime::v1::PodSandboxConfig& out) {
  for (const ContainerPort& port : container.ports) {
    auto* mapping = out.add_port_mappings();
    mapping->set_protocol(ProtocolOf(port.protocol));
    mapping->set_container_port(static_cast<int32_t>(port.container_port));
    mapping->set_host_port(static_cast<int32_t>(port.host_port));
    mapping->set_host_ip(port.host_ip);
  }
}

}  // namespace

::runtime::v1::PodSandboxConfig SandboxMessage(const Pod& pod, const PodInstance& instance,
                                               const Node& node) {
  ::runtime::v1::PodSandboxConfig out;
  auto* metadata = out.mutable_metadata();
  metadata->set_name(pod.metadata.name);
  metadata->set_namespace_(pod.metadata.namespace_);
  metadata->set_uid(instance.uid);
  metadata->set_attempt(instance.attempt);
  if (!pod.spec.host_network) out.set_hostname(HostnameOf(pod));
  out.set_log_directory(LogDirectory(pod, instance));
  *out.mutable_dns_config() = DnsMessage(pod.spec, node);
  for (const Container& container : pod.spec.containers) AddPorts(container, out);
  for (const Container& container : pod.spec.init_containers) {
    if (container.is_sidecar) AddPorts(container, out);
  }
  auto& labels = *out.mutable_labels();
  labels.insert(pod.metadata.labels.begin(), pod.metadata.labels.end());
  labels[kLabelPod] = pod.metadata.name;
  labels[kLabelNamespace] = pod.metadata.namespace_;
  labels[kLabelUid] = instance.uid;
  out.mutable_annotations()->insert(pod.metadata.annotations.begin(),
                                    pod.metadata.annotations.end());
  auto* linux_config = out.mutable_linux();
  linux_config->set_cgroup_parent(CgroupParent(pod, instance.uid, node));
  *linux_config->mutable_security_context() = SandboxSecurity(pod.spec, instance);
  linux_config->mutable_sysctls()->insert(pod.spec.security.sysctls.begin(),
                                          pod.spec.security.sysctls.end());
  linux_config->mutable_overhead();  // kubelet sends it, empty without a RuntimeClass
  *linux_config->mutable_resources() = SandboxResources(pod.spec, node);
  return out;
}

}  // namespace crisp::cli
