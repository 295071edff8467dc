#include <netinet/in.h>

#include <algorithm>
#include <initializer_list>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "cni/conf.h"
#include "cni/native/conf.h"
#include "cni/network.h"

namespace crisp::cni::native {
namespace {

using base::Json;

constexpr size_t kMaxLinkName = 15;      // IFNAMSIZ without its NUL
constexpr uint32_t kMaxVethMtu = 65535;  // of the kernel, for veth(4)
constexpr size_t kMaxHostPorts = 200;    // of a pod: more do not fit into one transaction
constexpr char kHostLocalDir[] = "/var/lib/cni/networks";

// Thrown inside a decoder for what is left to the plugin. It is caught with the parser's own.
[[noreturn]] void LeaveToPlugin(const Json& value) {
  throw Json::other_error::create(501, "is left to the plugin", &value);
}

// Go's decoder also takes a name in other case, and a newer plugin has more options: an object with
// a name that is not exactly one of these is left to the plugin.
void OnlyHas(const Json& object, std::initializer_list<absl::string_view> names) {
  if (!object.is_object()) LeaveToPlugin(object);
  for (const auto& member : object.items()) {
    if (std::find(names.begin(), names.end(), member.key()) == names.end()) LeaveToPlugin(object);
  }
}

template <typename T>
T Get(const Json& object, const char* name, T missing) {
  const auto found = object.find(name);
  return found == object.end() ? missing : found->get<T>();
}

template <typename T>
T Plain(const std::optional<T>& parsed, const Json& value) {
  if (!parsed.has_value()) LeaveToPlugin(value);
  return *parsed;
}

Address ToAddress(const Json& value) {
  return Plain(ParseAddress(value.get<std::string>()), value);
}
Prefix ToPrefix(const Json& value) { return Plain(ParsePrefix(value.get<std::string>()), value); }

std::optional<Address> OptionalAddress(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  return ToAddress(*found);
}

Range ToRange(const Json& value) {
  Range range;
  range.subnet = ToPrefix(value.at("subnet"));
  const Address& network = range.subnet.address;
  const bool roomy = range.subnet.length + 2u <= network.size() * 8;
  // host-local counts addresses as numbers, and loses the zeros that they begin with.
  if (!roomy || network != NetworkOf(range.subnet) || network.bytes[0] == 0) LeaveToPlugin(value);
  range.gateway = OptionalAddress(value, "gateway").value_or(Next(network));
  range.start = OptionalAddress(value, "rangeStart").value_or(Next(network));
  Address last = LastOf(range.subnet);
  if (!last.v6) --last.bytes[3];  // the last one is for broadcasts
  range.end = OptionalAddress(value, "rangeEnd").value_or(last);
  const bool right = Contains(range.subnet, range.start) && Contains(range.subnet, range.end) &&
                     range.start <= range.end && range.gateway.v6 == network.v6;
  if (!right) LeaveToPlugin(value);
  return range;
}

RangeSet ToRangeSet(const Json& value) {
  if (!value.is_array() || value.empty()) LeaveToPlugin(value);
  RangeSet set;
  for (const Json& range : value) {
    OnlyHas(range, {"subnet", "rangeStart", "rangeEnd", "gateway"});
    set.push_back(ToRange(range));
    if (set.back().start.v6 != set.front().start.v6) LeaveToPlugin(value);
  }
  return set;
}

bool Overlap(const Range& a, const Range& b) {
  return a.start.v6 == b.start.v6 && a.start <= b.end && b.start <= a.end;
}

void CheckRanges(const std::vector<RangeSet>& sets, const Json& conf) {
  std::vector<Range> all;
  int families[2] = {0, 0};
  for (const RangeSet& set : sets) {
    ++families[set.front().start.v6 ? 1 : 0];
    for (const Range& range : set) {
      const auto overlaps = [&](const Range& other) { return Overlap(range, other); };
      if (std::any_of(all.begin(), all.end(), overlaps)) LeaveToPlugin(conf);
      all.push_back(range);
    }
  }
  const bool one_each = VersionRank(conf.at("cniVersion").get<std::string>()) <
                        VersionRank("0.3.0");  // room for one address of each family
  if (sets.empty() || (one_each && std::max(families[0], families[1]) > 1)) LeaveToPlugin(conf);
}

std::vector<Route> ToRoutes(const Json& ipam) {
  std::vector<Route> routes;
  for (const Json& value : Get(ipam, "routes", std::vector<Json>())) {
    OnlyHas(value, {"dst", "gw"});
    routes.push_back({ToPrefix(value.at("dst")), OptionalAddress(value, "gw")});
  }
  return routes;
}

// A length of the prefix is allowed, and means nothing.
void AddRequested(const Json& object, std::vector<Address>& requested) {
  for (const Json& value : Get(object, "ips", std::vector<Json>())) {
    const std::string text = value.get<std::string>();
    const Address address =
        absl::StrContains(text, "/") ? ToPrefix(value).address : ToAddress(value);
    if (std::find(requested.begin(), requested.end(), address) == requested.end()) {
      requested.push_back(address);
    }
  }
}

// What the runtime asks for: args.cni, which runtimeConfig overrides.
struct Asked {
  std::vector<Address> addresses;
  std::string mac;
};

Asked ToAsked(const Json& conf) {
  Asked asked;
  const Json args = Get(conf, "args", Json::object());
  OnlyHas(args, {"cni"});
  const Json cni = Get(args, "cni", Json::object());
  OnlyHas(cni, {"ips", "mac"});
  const Json runtime = Get(conf, "runtimeConfig", Json::object());
  // Port mappings and bandwidth are for other plugins, also when they are passed to this one.
  OnlyHas(runtime, {"ips", "mac", "portMappings", "bandwidth"});
  for (const Json* object : {&cni, &runtime}) {
    AddRequested(*object, asked.addresses);
    const std::string mac = Get<std::string>(*object, "mac", "");
    if (!mac.empty()) asked.mac = mac;
  }
  return asked;
}

HostLocalConf ToHostLocal(const Json& conf, std::vector<Address> requested) {
  const Json& ipam = conf.at("ipam");
  OnlyHas(ipam,
          {"type", "ranges", "routes", "dataDir", "subnet", "rangeStart", "rangeEnd", "gateway"});
  if (ipam.at("type").get<std::string>() != "host-local") LeaveToPlugin(ipam);
  HostLocalConf decoded;
  // One range without a list comes first, if it has a subnet; without, the plugin ignores it.
  if (ipam.contains("subnet")) decoded.sets.push_back({ToRange(ipam)});
  for (const Json& set : Get(ipam, "ranges", std::vector<Json>())) {
    decoded.sets.push_back(ToRangeSet(set));
  }
  CheckRanges(decoded.sets, conf);
  decoded.routes = ToRoutes(ipam);
  std::string directory = Get<std::string>(ipam, "dataDir", "");
  if (directory.empty()) directory = kHostLocalDir;
  // Others are below the plugin's working directory.
  if (!absl::StartsWith(directory, "/")) LeaveToPlugin(ipam);
  decoded.directory = absl::StrCat(directory, "/", conf.at("name").get<std::string>());
  decoded.requested = std::move(requested);
  return decoded;
}

Mac ToMac(const std::string& text, const Json& conf) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  Mac mac = {};
  if (parts.size() != mac.size()) LeaveToPlugin(conf);
  for (size_t i = 0; i < mac.size(); ++i) {
    const std::string& part = parts[i];
    if (part.size() != 2 || !std::all_of(part.begin(), part.end(), absl::ascii_isxdigit)) {
      LeaveToPlugin(conf);
    }
    mac[i] = static_cast<uint8_t>(std::stoi(part, nullptr, 16));
  }
  return mac;
}

bool IsLinkName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxLinkName && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isgraph(c) && !absl::StrContains("/:%", c); });
}

std::string ToDns(const Json& conf) {
  Json dns = Get(conf, "dns", Json::object());
  OnlyHas(dns, {"nameservers", "domain", "search", "options"});
  for (const char* list : {"nameservers", "search", "options"}) {
    if (Get(dns, list, std::vector<std::string>()).empty()) dns.erase(list);
  }
  if (Get<std::string>(dns, "domain", "").empty()) dns.erase("domain");
  return base::DumpJson(dns);
}

// Of an answer in a version with lists; DEL gets no other.
Attached ToAttached(const Json& result, const std::string& bridge) {
  Attached attached;
  for (const Json& ip : Get(result, "ips", std::vector<Json>())) {
    attached.addresses.push_back(ToPrefix(ip.at("address")));
  }
  std::vector<std::string> on_host;
  for (const Json& link : Get(result, "interfaces", std::vector<Json>())) {
    const std::string name = link.at("name").get<std::string>();
    if (Get<std::string>(link, "sandbox", "").empty() && name != bridge) on_host.push_back(name);
  }
  if (on_host.size() == 1 && IsLinkName(on_host[0])) attached.host_link = on_host[0];
  return attached;
}

// Nothing of an answer that another plugin has made odd: what the leases lead to must be taken away
// all the same.
Attached FindAttached(const Json& conf, const std::string& bridge) {
  if (!conf.contains("prevResult")) return {};
  try {
    return ToAttached(conf["prevResult"], bridge);
  } catch (const Json::exception&) {
    return {};
  }
}

BridgeConf ToBridge(const Json& conf) {
  OnlyHas(conf, {"cniVersion", "name", "type", "bridge", "isGateway", "isDefaultGateway",
                 "forceAddress", "ipMasq", "mtu", "hairpinMode", "promiscMode", "dns", "ipam",
                 "args", "runtimeConfig", "prevResult"});
  BridgeConf decoded;
  decoded.network = conf.at("name").get<std::string>();
  decoded.bridge = Get<std::string>(conf, "bridge", "cni0");
  decoded.is_default_gateway = Get(conf, "isDefaultGateway", false);
  decoded.is_gateway = Get(conf, "isGateway", false) || decoded.is_default_gateway;
  decoded.force_address = Get(conf, "forceAddress", false);
  decoded.ip_masq = Get(conf, "ipMasq", false);
  decoded.hairpin = Get(conf, "hairpinMode", false);
  decoded.promiscuous = Get(conf, "promiscMode", false);
  decoded.mtu = Get<uint32_t>(conf, "mtu", 0);
  decoded.dns = ToDns(conf);
  const bool right = IsLinkName(decoded.bridge) && decoded.mtu <= kMaxVethMtu &&
                     !(decoded.hairpin && decoded.promiscuous);
  if (!right) LeaveToPlugin(conf);
  Asked asked = ToAsked(conf);
  if (!asked.mac.empty()) decoded.mac = ToMac(asked.mac, conf);
  decoded.ipam = ToHostLocal(conf, std::move(asked.addresses));
  decoded.attached = FindAttached(conf, decoded.bridge);
  return decoded;
}

LoopbackConf ToLoopback(const Json& conf) {
  OnlyHas(conf, {"cniVersion", "name", "type", "prevResult"});
  LoopbackConf decoded;
  if (conf.contains("prevResult")) decoded.prev_result = base::DumpJson(conf["prevResult"]);
  return decoded;
}

uint16_t ToPort(const Json& value) {
  const auto port = value.get<uint16_t>();
  if (port == 0) LeaveToPlugin(value);
  return port;
}

uint8_t ToProtocol(const Json& value) {
  const std::string name = value.get<std::string>();
  if (name == "tcp") return IPPROTO_TCP;
  if (name == "udp") return IPPROTO_UDP;
  if (name == "sctp") return IPPROTO_SCTP;
  LeaveToPlugin(value);
}

HostPort ToHostPort(const Json& value) {
  OnlyHas(value, {"hostPort", "containerPort", "protocol", "hostIP"});
  HostPort decoded;
  decoded.protocol = ToProtocol(value.at("protocol"));
  decoded.port = ToPort(value.at("hostPort"));
  decoded.pod_port = ToPort(value.at("containerPort"));
  if (!Get<std::string>(value, "hostIP", "").empty()) decoded.address = ToAddress(value["hostIP"]);
  return decoded;
}

// Whether a packet may be meant by both. For the plugin the first one counts, or the one that names
// the address: versions differ.
bool Meet(const HostPort& a, const HostPort& b) {
  if (a.protocol != b.protocol || a.port != b.port) return false;
  if (!a.address.has_value() || !b.address.has_value()) return true;
  const Address every = {.v6 = a.address->v6};
  return a.address->v6 == b.address->v6 &&
         (a.address == b.address || a.address == every || b.address == every);
}

std::vector<HostPort> ToHostPorts(const Json& conf) {
  std::vector<HostPort> ports;
  const Json runtime = Get(conf, "runtimeConfig", Json::object());
  OnlyHas(runtime, {"ips", "mac", "portMappings", "bandwidth"});
  for (const Json& value : Get(runtime, "portMappings", std::vector<Json>())) {
    const HostPort port = ToHostPort(value);
    const auto meets = [&](const HostPort& other) { return Meet(port, other); };
    if (std::any_of(ports.begin(), ports.end(), meets)) LeaveToPlugin(value);
    ports.push_back(port);
  }
  if (ports.size() > kMaxHostPorts) LeaveToPlugin(conf);
  return ports;
}

// Whether an address of the result is the pod's. Without a link that the result has, it is taken
// for the pod's.
bool IsOfPod(const Json& ip, const std::vector<Json>& links) {
  const auto at = Get<int64_t>(ip, "interface", -1);
  if (at < 0 || static_cast<uint64_t>(at) >= links.size()) return true;
  const Json& link = links[static_cast<size_t>(at)];
  return link.at("name").get<std::string>() == kPodInterface &&
         !Get<std::string>(link, "sandbox", "").empty();
}

// The first one of each family; none of an answer that another plugin has made odd.
std::vector<Prefix> FindPod(const Json& conf) {
  std::vector<Prefix> pod;
  try {
    const Json& result = conf.at("prevResult");
    const auto links = Get(result, "interfaces", std::vector<Json>());
    for (const Json& ip : Get(result, "ips", std::vector<Json>())) {
      const Prefix prefix = ToPrefix(ip.at("address"));
      const bool known = std::any_of(pod.begin(), pod.end(), [&](const Prefix& other) {
        return other.address.v6 == prefix.address.v6;
      });
      if (!known && IsOfPod(ip, links)) pod.push_back(prefix);
    }
  } catch (const Json::exception&) {
    return {};
  }
  return pod;
}

PortmapConf ToPortmap(const Json& conf) {
  OnlyHas(conf, {"cniVersion", "name", "type", "snat", "runtimeConfig", "prevResult"});
  PortmapConf decoded;
  decoded.snat = Get(conf, "snat", true);
  decoded.ports = ToHostPorts(conf);
  decoded.pod = FindPod(conf);
  if (conf.contains("prevResult")) decoded.prev_result = base::DumpJson(conf["prevResult"]);
  return decoded;
}

}  // namespace

std::optional<BridgeConf> DecodeBridge(absl::string_view json) {
  absl::StatusOr<BridgeConf> conf = base::DecodeJson("bridge", json, ToBridge);
  return conf.ok() ? std::optional(*std::move(conf)) : std::nullopt;
}

std::optional<LoopbackConf> DecodeLoopback(absl::string_view json) {
  absl::StatusOr<LoopbackConf> conf = base::DecodeJson("loopback", json, ToLoopback);
  return conf.ok() ? std::optional(*std::move(conf)) : std::nullopt;
}

std::optional<PortmapConf> DecodePortmap(absl::string_view json) {
  absl::StatusOr<PortmapConf> conf = base::DecodeJson("portmap", json, ToPortmap);
  return conf.ok() ? std::optional(*std::move(conf)) : std::nullopt;
}

}  // namespace crisp::cni::native
