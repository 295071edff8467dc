// metadata and spec of a pod.
#include <arpa/inet.h>

#include <set>
#include <tuple>

#include "cli/manifest/decode.h"

namespace crisp::cli {
namespace {

bool IsIp(const std::string& text) {
  in6_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

// A field that asks for what only a cluster has: it may say no.
void OnlyFalse(Fields& fields, absl::string_view name, absl::string_view why) {
  bool value = false;
  fields.Bool(name, value);
  if (value) fields.Add(name, absl::StrCat("must be false: ", why));
}

void DecodeHostAlias(Fields& fields, HostAlias& alias) {
  if (fields.Require("ip")) fields.Text("ip", alias.ip);
  if (!alias.ip.empty() && !IsIp(alias.ip)) fields.Add("ip", "must be an IP address");
  fields.Texts("hostnames", alias.hostnames);
  for (const std::string& name : alias.hostnames) CheckDnsSubdomain(fields, "hostnames", name);
}

void DecodeDns(Fields& fields, PodSpec& spec) {
  constexpr size_t kMaxServers = 3, kMaxSearches = 32;  // resolv.conf(5), as the API server has it
  fields.Choice("dnsPolicy", spec.dns_policy,
                {{"ClusterFirst", DnsPolicy::kClusterFirst},
                 {"ClusterFirstWithHostNet", DnsPolicy::kClusterFirstWithHostNet},
                 {"Default", DnsPolicy::kDefault},
                 {"None", DnsPolicy::kNone}});
  fields.Object("dnsConfig", [&](Fields& dns) {
    dns.Texts("nameservers", spec.dns_config.nameservers);
    dns.Texts("searches", spec.dns_config.searches);
    dns.List("options", [&](Fields& option) {
      DnsOption& out = spec.dns_config.options.emplace_back();
      if (option.Require("name")) option.Text("name", out.name);
      option.Text("value", out.value);
    });
    for (const std::string& server : spec.dns_config.nameservers) {
      if (!IsIp(server))
        dns.Add("nameservers", absl::StrCat("\"", server, "\" must be an IP address"));
    }
    if (spec.dns_config.nameservers.size() > kMaxServers)
      dns.Add("nameservers", absl::StrCat("must be at most ", kMaxServers));
    if (spec.dns_config.searches.size() > kMaxSearches)
      dns.Add("searches", absl::StrCat("must be at most ", kMaxSearches));
  });
  if (spec.dns_policy == DnsPolicy::kNone && spec.dns_config.nameservers.empty())
    fields.Add("dnsConfig", "needs a nameserver with dnsPolicy None");
}

void DecodeNamespaces(Fields& fields, PodSpec& spec) {
  fields.Bool("hostNetwork", spec.host_network);
  fields.Bool("hostPID", spec.host_pid);
  fields.Bool("hostIPC", spec.host_ipc);
  fields.Bool("hostUsers", spec.host_users);
  fields.Bool("shareProcessNamespace", spec.share_process_namespace);
  if (spec.host_pid && spec.share_process_namespace)
    fields.Add("shareProcessNamespace", "must not be given together with hostPID");
  if (spec.host_users) return;
  if (spec.host_pid) fields.Add("hostPID", "must not be true with hostUsers false");
  if (spec.host_ipc) fields.Add("hostIPC", "must not be true with hostUsers false");
  if (spec.host_network) fields.Add("hostNetwork", "must not be true with hostUsers false");
}

void CheckContainerRefs(Fields& fields, const PodSpec& spec,
                        const std::set<std::string>& containers,
                        const std::set<std::string>& volumes, const Container& container) {
  const char* list = "containers";
  for (const Container& init : spec.init_containers) {
    if (&init == &container) list = "initContainers";
  }
  for (const VolumeMount& mount : container.volume_mounts) {
    if (!mount.name.empty() && volumes.count(mount.name) == 0)
      fields.AddAt(mount.place, absl::StrCat("\"", mount.name, "\" is not in volumes"));
  }
  for (const EnvVar& variable : container.env) {
    if (!variable.resource_field_ref.has_value()) continue;
    const std::string& name = variable.resource_field_ref->container_name;
    if (!name.empty() && containers.count(name) == 0)
      fields.Add(list, absl::StrCat(container.name, " reads container \"", name,
                                    "\", which is not in the pod"));
  }
  for (const ContainerPort& port : container.ports) {
    if (spec.host_network && port.host_port != 0 && port.host_port != port.container_port)
      fields.Add(list, absl::StrCat(container.name, " has hostPort ", port.host_port,
                                    ", which must be the containerPort with hostNetwork"));
    if (!port.host_ip.empty() && !IsIp(port.host_ip))
      fields.Add(list, absl::StrCat(container.name, " has hostIP \"", port.host_ip,
                                    "\", which must be an IP address"));
  }
}

// The host has each port once. What is not a sidecar does not run beside the others.
void CheckHostPorts(Fields& fields, const PodSpec& spec) {
  std::set<std::tuple<int64_t, std::string, Protocol>> taken;
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const Container& container : *list) {
      if (list == &spec.init_containers && !container.is_sidecar) continue;
      for (const ContainerPort& port : container.ports) {
        const int64_t number = spec.host_network ? port.container_port : port.host_port;
        if (number != 0 && !taken.emplace(number, port.host_ip, port.protocol).second)
          fields.Add(list == &spec.containers ? "containers" : "initContainers",
                     absl::StrCat("hostPort ", number, " is given twice"));
      }
    }
  }
}

void CheckNames(Fields& fields, const PodSpec& spec) {
  std::set<std::string> containers, volumes;
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const Container& container : *list) {
      if (!container.name.empty() && !containers.insert(container.name).second)
        fields.Add(list == &spec.containers ? "containers" : "initContainers",
                   absl::StrCat("two containers are named ", container.name));
    }
  }
  for (const Volume& volume : spec.volumes) {
    if (!volume.name.empty() && !volumes.insert(volume.name).second)
      fields.AddAt(volume.place, absl::StrCat("two volumes are named ", volume.name));
    for (const FilesSource& source : volume.files) {
      if (!source.downward_api.has_value()) continue;
      for (const DownwardFile& file : *source.downward_api) {
        if (file.resource_field_ref.has_value() &&
            containers.count(file.resource_field_ref->container_name) == 0)
          fields.Add("volumes", absl::StrCat(volume.name, " reads container \"",
                                             file.resource_field_ref->container_name,
                                             "\", which is not in the pod"));
      }
    }
  }
  for (const auto* list : {&spec.init_containers, &spec.containers}) {
    for (const Container& container : *list)
      CheckContainerRefs(fields, spec, containers, volumes, container);
  }
  CheckHostPorts(fields, spec);
}

}  // namespace

void DecodeMeta(Fields& fields, ObjectMeta& meta) {
  if (fields.Has("name")) {
    fields.Text("name", meta.name);
    CheckDnsSubdomain(fields, "name", meta.name);
  }
  if (fields.Has("namespace")) {
    fields.Text("namespace", meta.namespace_);
    CheckDnsLabel(fields, "namespace", meta.namespace_);
  }
  fields.TextMap("labels", meta.labels);
  fields.TextMap("annotations", meta.annotations);
  // kubectl create --dry-run writes it with null.
  std::string created;
  if (!fields.Has("creationTimestamp")) fields.Text("creationTimestamp", created);
}

void DecodePodSpec(Fields& fields, PodSpec& spec) {
  constexpr int64_t kMaxGrace = 24 * 3600 * 365;
  fields.List("initContainers", [&](Fields& item) {
    DecodeContainer(item, true, spec.init_containers.emplace_back());
  });
  fields.List("containers",
              [&](Fields& item) { DecodeContainer(item, false, spec.containers.emplace_back()); });
  if (fields.Require("containers") && spec.containers.empty())
    fields.Add("containers", "must not be empty");
  fields.List("volumes", [&](Fields& item) { DecodeVolume(item, spec.volumes.emplace_back()); });
  fields.Choice("restartPolicy", spec.restart_policy,
                {{"Always", RestartPolicy::kAlways},
                 {"OnFailure", RestartPolicy::kOnFailure},
                 {"Never", RestartPolicy::kNever}});
  fields.Int("terminationGracePeriodSeconds", spec.termination_grace_period, 0, kMaxGrace);
  DecodeDns(fields, spec);
  fields.List("hostAliases",
              [&](Fields& item) { DecodeHostAlias(item, spec.host_aliases.emplace_back()); });
  if (fields.Has("hostname")) {
    fields.Text("hostname", spec.hostname);
    CheckDnsLabel(fields, "hostname", spec.hostname);
  }
  DecodeNamespaces(fields, spec);
  fields.Object("securityContext",
                [&](Fields& object) { DecodePodSecurity(object, spec.security); });
  fields.List("imagePullSecrets", [&](Fields& item) {
    KeyRef& ref = spec.image_pull_secrets.emplace_back();
    ref.place = item.PlaceOf("");
    if (item.Require("name")) item.Text("name", ref.name);
  });
  OnlyFalse(fields, "automountServiceAccountToken",
            "service accounts are a cluster's, none is mounted here");
  OnlyFalse(fields, "enableServiceLinks", "there are no services without a cluster");
  fields.Object("os", [](Fields& os) {
    bool is_linux = true;
    os.Choice("name", is_linux, {{"linux", true}});
  });
  CheckNames(fields, spec);
}

}  // namespace crisp::cli
