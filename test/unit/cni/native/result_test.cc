#include "cni/native/result.h"

#include <catch2/catch.hpp>

#include "base/json.h"
#include "cni/result.h"

using namespace crisp;
using namespace crisp::cni::native;

namespace {

Link Named(const std::string& name, uint8_t last) {
  Link link;
  link.name = name;
  link.mac = Mac{0x0a, 0, 0, 0, 0, last};
  return link;
}

BridgeResult DualStack() {
  BridgeResult result;
  result.bridge = Named("cni0", 1);
  result.host = Named("veth12345678", 2);
  result.pod = Named("eth0", 0xff);
  result.netns = "/run/netns/cni-1";
  result.leases = {{*ParsePrefix("10.1.0.5/24"), *ParseAddress("10.1.0.1")},
                   {*ParsePrefix("fd00::5/64"), *ParseAddress("fd00::1")}};
  result.routes = {{*ParsePrefix("0.0.0.0/0"), std::nullopt},
                   {*ParsePrefix("::/0"), *ParseAddress("fd00::1")}};
  result.dns = R"({"domain":"x"})";
  return result;
}

base::Json InVersion(const std::string& version) {
  const auto result = cni::ParseResult(EncodeBridgeResult(DualStack()), version);
  REQUIRE(result.ok());
  CHECK(result->ips == std::vector<std::string>{"10.1.0.5", "fd00::5"});
  return base::Json::parse(result->json);
}

}  // namespace

TEST_CASE("the result of bridge has what the plugin's has") {
  CHECK(InVersion("1.0.0") == base::Json::parse(R"({
      "cniVersion": "1.0.0",
      "interfaces": [{"name": "cni0", "mac": "0a:00:00:00:00:01"},
                     {"name": "veth12345678", "mac": "0a:00:00:00:00:02"},
                     {"name": "eth0", "mac": "0a:00:00:00:00:ff", "sandbox": "/run/netns/cni-1"}],
      "ips": [{"interface": 2, "address": "10.1.0.5/24", "gateway": "10.1.0.1"},
              {"interface": 2, "address": "fd00::5/64", "gateway": "fd00::1"}],
      "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fd00::1"}],
      "dns": {"domain": "x"}})"));
}

TEST_CASE("it is turned into every version of the specification") {
  for (const char* version : {"0.3.0", "0.3.1", "0.4.0"}) {
    const base::Json json = InVersion(version);
    CHECK(json["cniVersion"] == version);
    CHECK(json["ips"][0]["version"] == "4");
    CHECK(json["ips"][1]["version"] == "6");
    CHECK(json["interfaces"].size() == 3);
  }
  CHECK(InVersion("1.1.0")["cniVersion"] == "1.1.0");
  for (const char* version : {"0.1.0", "0.2.0"}) {
    base::Json expected = base::Json::parse(R"({
        "ip4": {"ip": "10.1.0.5/24", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
        "ip6": {"ip": "fd00::5/64", "gateway": "fd00::1",
                "routes": [{"dst": "::/0", "gw": "fd00::1"}]},
        "dns": {"domain": "x"}})");
    expected["cniVersion"] = version;
    CHECK(InVersion(version) == expected);
  }
}

TEST_CASE("the result of loopback has its addresses") {
  CHECK(base::Json::parse(EncodeLoopbackResult(
            "/n", {*ParsePrefix("127.0.0.1/8"), *ParsePrefix("::/0")})) == base::Json::parse(R"({
      "cniVersion": "1.0.0",
      "interfaces": [{"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": "/n"}],
      "ips": [{"interface": 0, "address": "127.0.0.1/8"}, {"interface": 0, "address": "::/0"}],
      "dns": {}})"));
}
