// One container of a manifest.
#include <set>

#include "absl/strings/match.h"
#include "cli/manifest/decode.h"

namespace crisp::cli {
namespace {

constexpr int64_t kMaxPort = 65535;

void DecodePort(Fields& fields, ContainerPort& port) {
  fields.Text("name", port.name);
  if (!port.name.empty()) CheckDnsLabel(fields, "name", port.name);
  if (fields.Require("containerPort"))
    fields.Int("containerPort", port.container_port, 1, kMaxPort);
  fields.Int("hostPort", port.host_port, 0, kMaxPort);
  fields.Text("hostIP", port.host_ip);
  fields.Choice("protocol", port.protocol,
                {{"TCP", Protocol::kTcp}, {"UDP", Protocol::kUdp}, {"SCTP", Protocol::kSctp}});
}

void CheckMount(Fields& fields, const VolumeMount& mount) {
  if (!mount.sub_path.empty()) CheckRelativePath(fields, "subPath", mount.sub_path);
  if (!mount.sub_path_expr.empty()) CheckRelativePath(fields, "subPathExpr", mount.sub_path_expr);
  if (!mount.sub_path.empty() && !mount.sub_path_expr.empty())
    fields.Add("subPathExpr", "must not be given together with subPath");
  if (mount.recursive_read_only == RecursiveReadOnly::kDisabled) return;
  if (!mount.read_only) fields.Add("recursiveReadOnly", "is only for a mount with readOnly true");
  if (mount.propagation != Propagation::kNone)
    fields.Add("recursiveReadOnly", "is only for a mount without propagation");
}

void DecodeMount(Fields& fields, VolumeMount& mount) {
  mount.place = fields.PlaceOf("name");
  if (fields.Require("name")) fields.Text("name", mount.name);
  if (fields.Require("mountPath")) fields.Text("mountPath", mount.mount_path);
  if (mount.mount_path.find(':') != std::string::npos)
    fields.Add("mountPath", "must not contain ':'");
  fields.Text("subPath", mount.sub_path);
  fields.Text("subPathExpr", mount.sub_path_expr);
  fields.Bool("readOnly", mount.read_only);
  fields.Choice("recursiveReadOnly", mount.recursive_read_only,
                {{"Disabled", RecursiveReadOnly::kDisabled},
                 {"IfPossible", RecursiveReadOnly::kIfPossible},
                 {"Enabled", RecursiveReadOnly::kEnabled}});
  fields.Choice("mountPropagation", mount.propagation,
                {{"None", Propagation::kNone},
                 {"HostToContainer", Propagation::kHostToContainer},
                 {"Bidirectional", Propagation::kBidirectional}});
  CheckMount(fields, mount);
}

void CheckPortNames(Fields& fields, const Container& container) {
  std::set<std::string> names;
  for (const ContainerPort& port : container.ports) {
    if (!port.name.empty() && !names.insert(port.name).second)
      fields.Add("ports", absl::StrCat("two ports are named ", port.name));
  }
}

bool IsHugePages(absl::string_view name) { return absl::StartsWith(name, "hugepages-"); }

bool IsKnownResource(absl::string_view name) {
  return name == "cpu" || name == "memory" || name == "ephemeral-storage" || IsHugePages(name);
}

void DecodeResources(Fields& fields, Resources& resources) {
  fields.AmountMap("limits", resources.limits);
  fields.AmountMap("requests", resources.requests);
  bool has_huge_pages = false;
  for (const auto& [name, amount] : resources.limits) {
    has_huge_pages = has_huge_pages || IsHugePages(name);
    if (!IsKnownResource(name))
      fields.Add("limits", absl::StrCat(name, " is not a resource that crisp play knows"));
  }
  // A limit is a request, too.
  const auto& [limits, requests] = resources;
  if (has_huge_pages && limits.count("cpu") + limits.count("memory") + requests.count("cpu") +
                                requests.count("memory") ==
                            0)
    fields.Add("limits", "hugepages need cpu or memory beside them");
  for (const auto& [name, amount] : resources.requests) {
    const auto limit = resources.limits.find(name);
    const bool has_limit = limit != resources.limits.end() && limit->second == amount;
    if (!IsKnownResource(name))
      fields.Add("requests", absl::StrCat(name, " is not a resource that crisp play knows"));
    else if (IsHugePages(name) && !has_limit)
      fields.Add("requests", absl::StrCat(name, " must have an equal limit"));
    else if (limit != resources.limits.end() && limit->second < amount)
      fields.Add("requests", absl::StrCat(name, " must not be more than its limit"));
  }
}

void CheckMountPaths(Fields& fields, const Container& container) {
  std::set<std::string> paths;
  for (const VolumeMount& mount : container.volume_mounts) {
    if (!paths.insert(mount.mount_path).second)
      fields.Add("volumeMounts",
                 absl::StrCat("mountPath \"", mount.mount_path, "\" is given twice"));
    if (mount.propagation == Propagation::kBidirectional && !container.security.privileged)
      fields.Add("volumeMounts", "mountPropagation Bidirectional needs a privileged container");
  }
}

}  // namespace

void DecodePullPolicy(Fields& fields, absl::string_view name, PullPolicy& policy) {
  fields.Choice(name, policy,
                {{"Always", PullPolicy::kAlways},
                 {"IfNotPresent", PullPolicy::kIfNotPresent},
                 {"Never", PullPolicy::kNever}});
}

void DecodeContainer(Fields& fields, bool is_init, Container& container) {
  if (fields.Require("name")) {
    fields.Text("name", container.name);
    CheckDnsLabel(fields, "name", container.name);
  }
  if (fields.Require("image")) fields.Text("image", container.image);
  fields.Texts("command", container.command);
  fields.Texts("args", container.args);
  fields.Text("workingDir", container.working_dir);
  fields.List("ports", [&](Fields& port) { DecodePort(port, container.ports.emplace_back()); });
  CheckPortNames(fields, container);
  DecodeEnv(fields, container);
  fields.Object("resources", [&](Fields& object) { DecodeResources(object, container.resources); });
  fields.Object("securityContext",
                [&](Fields& object) { DecodeContainerSecurity(object, container.security); });
  fields.List("volumeMounts",
              [&](Fields& mount) { DecodeMount(mount, container.volume_mounts.emplace_back()); });
  CheckMountPaths(fields, container);
  std::string message_path;
  fields.Text("terminationMessagePath", message_path);
  if (!message_path.empty()) container.termination_message_path = message_path;
  fields.Choice<std::string>(
      "terminationMessagePolicy", container.termination_message_policy,
      {{"File", "File"}, {"FallbackToLogsOnError", "FallbackToLogsOnError"}});
  DecodePullPolicy(fields, "imagePullPolicy", container.pull_policy);
  DecodeProbes(fields, container);
  fields.Bool("stdin", container.is_stdin);
  fields.Bool("stdinOnce", container.is_stdin_once);
  fields.Bool("tty", container.is_tty);
  if (is_init) fields.Choice("restartPolicy", container.is_sidecar, {{"Always", true}});
  if (!is_init || container.is_sidecar) return;
  for (const char* name : {"startupProbe", "livenessProbe", "readinessProbe", "lifecycle"}) {
    if (fields.Has(name))
      fields.Add(name, "is not for init containers without restartPolicy Always");
  }
}

}  // namespace crisp::cli
