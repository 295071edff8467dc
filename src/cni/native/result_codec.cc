#include "base/json.h"
#include "cni/native/result.h"

namespace crisp::cni::native {
namespace {

using base::Json;

constexpr int kPodIndex = 2;  // in the list of interfaces

Json LinkJson(const Link& link, const std::string& netns = "") {
  Json json = {{"name", link.name}};
  if (link.mac.has_value()) json["mac"] = ToString(*link.mac);
  if (!netns.empty()) json["sandbox"] = netns;
  return json;
}

}  // namespace

std::string EncodeBridgeResult(const BridgeResult& result) {
  Json json = {{"cniVersion", "1.0.0"},
               {"interfaces", Json::array({LinkJson(result.bridge), LinkJson(result.host),
                                           LinkJson(result.pod, result.netns)})},
               {"ips", Json::array()},
               {"dns", Json::parse(result.dns)}};
  for (const Lease& lease : result.leases) {
    json["ips"].push_back({{"interface", kPodIndex},
                           {"address", ToString(lease.address)},
                           {"gateway", ToString(lease.gateway)}});
  }
  for (const Route& route : result.routes) {
    Json one = {{"dst", ToString(route.destination)}};
    if (route.gateway.has_value()) one["gw"] = ToString(*route.gateway);
    json["routes"].push_back(std::move(one));
  }
  return base::DumpJson(json);
}

std::string EncodeLoopbackResult(const std::string& netns, const std::vector<Prefix>& addresses) {
  Json json = {{"cniVersion", "1.0.0"},
               {"interfaces",
                Json::array({{{"name", "lo"}, {"mac", "00:00:00:00:00:00"}, {"sandbox", netns}}})},
               {"dns", Json::object()}};
  for (const Prefix& address : addresses) {
    json["ips"].push_back({{"interface", 0}, {"address", ToString(address)}});
  }
  return base::DumpJson(json);
}

}  // namespace crisp::cni::native
