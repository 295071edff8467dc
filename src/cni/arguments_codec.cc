#include <limits>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cni/arguments.h"

namespace crisp::cni {
namespace {

using base::Json;

constexpr char kPodAnnotations[] = "io.kubernetes.cri.pod-annotations";

const char* NameOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kUdp:
      return "udp";
    case Protocol::kSctp:
      return "sctp";
  }
  return "";
}

absl::StatusOr<Json> Bandwidth(const PodNetworkRequest& request) {
  Json bandwidth = Json::object();
  for (const char* direction : {"ingress", "egress"}) {
    const std::string key = absl::StrCat("kubernetes.io/", direction, "-bandwidth");
    const auto found = request.annotations.find(key);
    if (found == request.annotations.end()) continue;
    const absl::StatusOr<uint64_t> rate = ParseBandwidth(found->second);
    if (!rate.ok()) {
      return base::Prefix(rate.status(), absl::StrCat("annotation ", key, " ",
                                                      base::DumpJson(found->second.substr(0, 64))));
    }
    bandwidth[absl::StrCat(direction, "Rate")] = *rate;
    // In bits: the highest value that every version of the plugin accepts, because Kubernetes
    // limits the rate and not bursts.
    bandwidth[absl::StrCat(direction, "Burst")] = std::numeric_limits<uint32_t>::max();
  }
  return bandwidth;
}

// Without lists that are empty.
Json DnsArgument(const Dns& dns) {
  Json argument = Json::object();
  if (!dns.servers.empty()) argument["servers"] = dns.servers;
  if (!dns.searches.empty()) argument["searches"] = dns.searches;
  if (!dns.options.empty()) argument["options"] = dns.options;
  return argument;
}

}  // namespace

absl::StatusOr<std::string> CapabilityArgs(const PodNetworkRequest& request,
                                           const NetworkConf& network) {
  Json args = Json::object();
  for (const PortMapping& mapping : request.port_mappings) {
    if (mapping.host_port == 0) continue;
    args["portMappings"].push_back({{"hostPort", mapping.host_port},
                                    {"containerPort", mapping.container_port},
                                    {"protocol", NameOf(mapping.protocol)},
                                    {"hostIP", mapping.host_ip}});
  }
  CRISP_ASSIGN_OR_RETURN(Json bandwidth, Bandwidth(request));
  if (!bandwidth.empty()) args["bandwidth"] = std::move(bandwidth);
  Json dns = DnsArgument(request.dns);
  if (!dns.empty()) args["dns"] = std::move(dns);
  if (!request.cgroup_parent.empty()) args["cgroupPath"] = request.cgroup_parent;
  if (!request.annotations.empty()) args[kPodAnnotations] = request.annotations;
  // The others would only make the cache larger.
  Json declared = Json::object();
  for (const PluginConf& plugin : network.plugins) {
    for (const std::string& capability : plugin.capabilities) {
      if (args.contains(capability)) declared[capability] = args[capability];
    }
  }
  return base::DumpJson(declared);
}

absl::StatusOr<std::string> ExecConf(const NetworkConf& network, const PluginConf& plugin,
                                     absl::string_view capability_args,
                                     absl::string_view prev_result) {
  const auto merge = [&](const Json& declared) {
    Json conf = declared;
    conf["name"] = network.name;
    conf["cniVersion"] = network.cni_version;
    conf.erase("capabilities");
    const Json args = capability_args.empty()
                          ? Json::object()
                          : Json::parse(capability_args.begin(), capability_args.end());
    for (const std::string& capability : plugin.capabilities) {
      if (args.contains(capability)) conf["runtimeConfig"][capability] = args[capability];
    }
    if (!prev_result.empty()) {
      conf["prevResult"] = Json::parse(prev_result.begin(), prev_result.end());
    }
    return base::DumpJson(conf);
  };
  return base::DecodeJson(absl::StrCat("configuration of plugin ", plugin.type), plugin.json,
                          merge);
}

absl::StatusOr<std::string> GcConf(const NetworkConf& network, const PluginConf& plugin,
                                   const std::vector<Attachment>& valid) {
  CRISP_ASSIGN_OR_RETURN(const std::string conf, ExecConf(network, plugin, "", ""));
  Json document = Json::parse(conf);
  Json& list = document["cni.dev/valid-attachments"] = Json::array();
  for (const Attachment& attachment : valid) {
    list.push_back({{"containerID", attachment.container_id}, {"ifname", attachment.interface}});
  }
  return base::DumpJson(document);
}

}  // namespace crisp::cni
