#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/errno.h"
#include "base/status_macros.h"
#include "cli/pod_messages.h"
#include "cli/pod_resources.h"

namespace crisp::cli {
namespace {

using ::runtime::v1::ContainerConfig;
using ::runtime::v1::Mount;
using ::runtime::v1::MountPropagation;

constexpr char kHosts[] = "/etc/hosts";

MountPropagation PropagationOf(Propagation propagation) {
  switch (propagation) {
    case Propagation::kHostToContainer:
      return MountPropagation::PROPAGATION_HOST_TO_CONTAINER;
    case Propagation::kBidirectional:
      return MountPropagation::PROPAGATION_BIDIRECTIONAL;
    case Propagation::kNone:
      break;
  }
  return MountPropagation::PROPAGATION_PRIVATE;
}

absl::Status AddVolumeMount(const ContainerInput& input, size_t index,
                            const Environment& environment, ContainerConfig& out) {
  const VolumeMount& asked = input.container.volume_mounts[index];
  const Volume& volume = VolumeOf(input.pod.spec, asked.name);
  absl::StatusOr<std::string> sub_path = SubPathOf(asked, environment);
  if (!sub_path.ok()) {
    return base::Prefix(sub_path.status(), absl::StrCat("volumeMounts[", index, "].subPathExpr"));
  }
  Mount* mount = out.add_mounts();
  const std::string path = asked.mount_path;
  mount->set_container_path(!path.empty() && path[0] == '/' ? path : absl::StrCat("/", path));
  mount->set_propagation(PropagationOf(asked.propagation));
  if (volume.image.has_value()) {
    mount->mutable_image()->set_image(input.volume_image_ids.at(volume.name));
    mount->mutable_image()->set_user_specified_image(volume.image->reference);
    mount->set_image_sub_path(*sub_path);
    mount->set_readonly(true);
    return absl::OkStatus();
  }
  mount->set_host_path(sub_path->empty() ? VolumePath(volume, input.instance)
                                         : SubPathTarget(input.container, index, input.instance));
  mount->set_readonly(asked.read_only || volume.is_files);
  mount->set_recursive_read_only(asked.recursive_read_only == RecursiveReadOnly::kEnabled ||
                                 (asked.recursive_read_only == RecursiveReadOnly::kIfPossible &&
                                  input.node.has_recursive_read_only));
  AddIdMapping(input.instance.users, mount->mutable_uidmappings());
  AddIdMapping(input.instance.users, mount->mutable_gidmappings());
  return absl::OkStatus();
}

void AddFile(const ContainerInput& input, const std::string& host_path,
             const std::string& container_path, ContainerConfig& out) {
  Mount* mount = out.add_mounts();
  mount->set_container_path(container_path);
  mount->set_host_path(host_path);
  AddIdMapping(input.instance.users, mount->mutable_uidmappings());
  AddIdMapping(input.instance.users, mount->mutable_gidmappings());
}

absl::Status AddMounts(const ContainerInput& input, const Environment& environment,
                       ContainerConfig& out) {
  const auto& asked = input.container.volume_mounts;
  for (size_t i = 0; i < asked.size(); ++i)
    CRISP_RETURN_IF_ERROR(AddVolumeMount(input, i, environment, out));
  const bool has_own_hosts = std::any_of(asked.begin(), asked.end(), [](const VolumeMount& mount) {
    return mount.mount_path == kHosts;
  });
  if (!has_own_hosts) AddFile(input, HostsPath(input.instance), kHosts, out);
  AddFile(input, TerminationLog(input.container, input.attempt, input.instance),
          input.container.termination_message_path, out);
  return absl::OkStatus();
}

absl::string_view ProtocolName(Protocol protocol) {
  return protocol == Protocol::kUdp ? "UDP" : protocol == Protocol::kSctp ? "SCTP" : "TCP";
}

// JSON by hand, in the order in which kubelet writes it. Names were checked, so that none needs an
// escape.
std::string PortsText(const std::vector<ContainerPort>& ports) {
  std::vector<std::string> texts;
  for (const ContainerPort& port : ports) {
    std::string text = "{";
    if (!port.name.empty()) absl::StrAppend(&text, "\"name\":\"", port.name, "\",");
    if (port.host_port != 0) absl::StrAppend(&text, "\"hostPort\":", port.host_port, ",");
    absl::StrAppend(&text, "\"containerPort\":", port.container_port, ",\"protocol\":\"",
                    ProtocolName(port.protocol), "\"");
    if (!port.host_ip.empty()) absl::StrAppend(&text, ",\"hostIP\":\"", port.host_ip, "\"");
    texts.push_back(text + "}");
  }
  return absl::StrCat("[", absl::StrJoin(texts, ","), "]");
}

void SetLabels(const ContainerInput& input, ContainerConfig& out) {
  auto& labels = *out.mutable_labels();
  labels[kLabelPod] = input.pod.metadata.name;
  labels[kLabelNamespace] = input.pod.metadata.namespace_;
  labels[kLabelUid] = input.instance.uid;
  labels[kLabelContainer] = input.container.name;
  auto& annotations = *out.mutable_annotations();
  annotations["io.kubernetes.container.restartCount"] = absl::StrCat(input.attempt);
  annotations["io.kubernetes.container.terminationMessagePath"] =
      input.container.termination_message_path;
  annotations["io.kubernetes.container.terminationMessagePolicy"] =
      input.container.termination_message_policy;
  annotations["io.kubernetes.pod.terminationGracePeriod"] =
      absl::StrCat(input.pod.spec.termination_grace_period);
  if (!input.container.ports.empty())
    annotations["io.kubernetes.container.ports"] = PortsText(input.container.ports);
}

}  // namespace

absl::StatusOr<ContainerConfig> ContainerMessage(const ContainerInput& input) {
  const Container& container = input.container;
  ContainerConfig out;
  out.mutable_metadata()->set_name(container.name);
  out.mutable_metadata()->set_attempt(input.attempt);
  out.mutable_image()->set_image(input.image_id);
  out.mutable_image()->set_user_specified_image(container.image);
  const Environment environment =
      EnvironmentOf(input.pod, container, input.objects, input.instance, input.node);
  for (const std::string& word : container.command)
    out.add_command(Expand(word, environment, false).value());
  for (const std::string& word : container.args)
    out.add_args(Expand(word, environment, false).value());
  out.set_working_dir(container.working_dir);
  for (const auto& [name, value] : environment) {
    auto* variable = out.add_envs();
    variable->set_key(name);
    variable->set_value(value);
  }
  CRISP_RETURN_IF_ERROR(AddMounts(input, environment, out));
  SetLabels(input, out);
  out.set_log_path(LogFile(container, input.attempt));
  out.set_stdin(container.is_stdin);
  out.set_stdin_once(container.is_stdin_once);
  out.set_tty(container.is_tty);
  *out.mutable_linux()->mutable_resources() =
      ContainerResources(input.pod.spec, container, input.node);
  CRISP_ASSIGN_OR_RETURN(
      *out.mutable_linux()->mutable_security_context(),
      ContainerSecurity(input.pod.spec, container, input.instance, input.node, input.image_user));
  return out;
}

}  // namespace crisp::cli
