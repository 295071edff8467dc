#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "cni/conf.h"
#include "cni/network.h"
#include "cni/result.h"

namespace crisp::cni {
namespace {

using base::Json;

constexpr size_t kMaxIps = 64;

bool IsAddress(const std::string& text) {
  in6_addr buffer;
  return inet_pton(AF_INET, text.c_str(), &buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

// Empty also for null, as for plugins that are written in Go.
std::string TextOf(const Json& object, const char* name) {
  const Json value = object.value(name, Json());
  return value.is_null() ? std::string() : value.get<std::string>();
}

bool IsInSandbox(const Json& interface) { return !TextOf(interface, "sandbox").empty(); }

bool IsNamedAsPods(const Json& interface) { return TextOf(interface, "name") == kPodInterface; }

// Whether the address is on the pod's own interface; an address without an interface counts as
// such. Some plugins say of no interface that it is in the sandbox: then the name decides, as for
// containerd. Otherwise one of that name that is not in it is the host's.
absl::StatusOr<bool> IsPodAddress(const Json& result, const Json& ip) {
  const auto index = ip.find("interface");
  if (index == ip.end() || index->is_null()) return true;
  const int64_t number = index->get<int64_t>();
  const Json interfaces = result.value("interfaces", Json::array());
  if (!interfaces.is_array() || number < 0 || static_cast<size_t>(number) >= interfaces.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("result: ips: interface ", number, " is not in the list of interfaces"));
  }
  const Json& interface = interfaces[static_cast<size_t>(number)];
  if (!IsNamedAsPods(interface)) return false;
  return IsInSandbox(interface) ||
         std::none_of(interfaces.begin(), interfaces.end(),
                      [](const Json& other) { return IsNamedAsPods(other) && IsInSandbox(other); });
}

// From 0.3.0 on a result has lists of addresses and routes; before, one member for each family.
bool HasLists(absl::string_view version) { return VersionRank(version) >= VersionRank("0.3.0"); }

struct Family {
  const char* member;
  const char* version;
};
constexpr Family kIpv4 = {"ip4", "4"};
constexpr Family kIpv6 = {"ip6", "6"};

const Family& FamilyOf(const std::string& address) {
  return absl::StrContains(address, ':') ? kIpv6 : kIpv4;
}

void ToLists(Json& result) {
  Json ips = Json::array();
  Json routes = Json::array();
  for (const Family& family : {kIpv4, kIpv6}) {
    const Json old = result.value(family.member, Json());
    result.erase(family.member);
    if (old.is_null()) continue;
    Json ip = Json::object();
    ip["address"] = old.at("ip");
    if (old.contains("gateway")) ip["gateway"] = old["gateway"];
    ips.push_back(std::move(ip));
    for (const Json& route : old.value("routes", Json::array())) routes.push_back(route);
  }
  result["ips"] = std::move(ips);
  result["routes"] = std::move(routes);
}

void FromLists(Json& result) {
  Json old = Json::object();
  for (const Json& ip : result.value("ips", Json::array())) {
    const std::string address = ip.at("address").get<std::string>();
    Json& place = old[FamilyOf(address).member];
    if (!place.is_null()) continue;  // only the first has room
    place["ip"] = address;
    if (ip.contains("gateway")) place["gateway"] = ip["gateway"];
  }
  for (const Json& route : result.value("routes", Json::array())) {
    const char* member = FamilyOf(TextOf(route, "dst")).member;
    if (old.contains(member)) old[member]["routes"].push_back(route);
  }
  for (const char* list : {"interfaces", "ips", "routes"}) result.erase(list);
  result.update(old);
}

// From 0.3.0 to 0.4.0 an address says of which family it is.
void SetFamilies(Json& result, bool wanted) {
  const auto ips = result.find("ips");
  if (ips == result.end()) return;
  for (Json& ip : *ips) {
    ip.erase("version");
    if (wanted) ip["version"] = FamilyOf(ip.at("address").get<std::string>()).version;
  }
}

// `result` has lists; afterwards it is as a plugin of the version `to` would have it.
void ToVersion(Json& result, absl::string_view to) {
  result["cniVersion"] = std::string(to);
  if (!HasLists(to)) return FromLists(result);
  SetFamilies(result, VersionRank(to) < VersionRank("1.0.0"));
}

absl::StatusOr<Result> DecodeResult(const Json& document, absl::string_view cni_version) {
  if (!document.is_object()) return absl::InvalidArgumentError("result: must be an object");
  Json answer = document;
  std::string version = TextOf(answer, "cniVersion");
  if (version.empty()) version = std::string(cni_version);
  if (VersionRank(version) < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "result: cniVersion ", base::DumpJson(Printable(version)), ": is not supported"));
  }
  answer["cniVersion"] = version;
  if (!HasLists(version)) ToLists(answer);
  Result result;
  const auto ips = answer.find("ips");
  if (ips != answer.end() && !ips->is_null()) {
    if (!ips->is_array() || ips->size() > kMaxIps) {
      return absl::InvalidArgumentError(
          absl::StrCat("result: ips: must be a list of at most ", kMaxIps));
    }
    for (const Json& ip : *ips) {
      const std::string cidr = ip.at("address").get<std::string>();
      const std::string address = cidr.substr(0, cidr.find('/'));
      if (!IsAddress(address)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "result: ips: ", base::DumpJson(Printable(cidr)), ": must be an IP address"));
      }
      CRISP_ASSIGN_OR_RETURN(const bool mine, IsPodAddress(answer, ip));
      if (!mine) continue;
      result.ips.push_back(address);
      result.cidrs.push_back(cidr);
    }
  }
  if (version != cni_version || !HasLists(version)) ToVersion(answer, cni_version);
  result.json = base::DumpJson(answer);
  return result;
}

}  // namespace

absl::StatusOr<Result> ParseResult(absl::string_view text, absl::string_view cni_version) {
  if (absl::StripAsciiWhitespace(text).empty()) {
    return absl::InvalidArgumentError("result: must not be empty");
  }
  absl::StatusOr<absl::StatusOr<Result>> result = base::DecodeJson(
      "result", text, [&](const Json& document) { return DecodeResult(document, cni_version); });
  if (!result.ok()) {
    // The parser's message may contain bytes of the plugin's output.
    return absl::Status(result.status().code(), Printable(result.status().message()));
  }
  return *std::move(result);
}

std::optional<PluginError> ParsePluginError(absl::string_view text) {
  const absl::StatusOr<PluginError> error =
      base::DecodeJson("error", text, [](const Json& document) {
        PluginError decoded;
        decoded.code = document.at("code").get<uint64_t>();
        decoded.message = Printable(TextOf(document, "msg"));
        const std::string details = TextOf(document, "details");
        if (!details.empty()) absl::StrAppend(&decoded.message, ": ", Printable(details));
        return decoded;
      });
  if (!error.ok() || error->code == 0) return std::nullopt;
  return *error;
}

std::string Printable(absl::string_view text) {
  constexpr size_t kMaxBytes = 1024;
  std::string line(absl::StripAsciiWhitespace(text.substr(0, kMaxBytes)));
  for (char& c : line) {
    if (!absl::ascii_isprint(c)) c = absl::ascii_isspace(c) ? ' ' : '?';
  }
  return line;
}

}  // namespace crisp::cni
