#include "cni/native/conf.h"

#include <catch2/catch.hpp>
#include <utility>

#include "native_fixture.h"

using namespace crisp;
using namespace crisp::cni::native;

namespace {

// The configuration with the changes of a JSON merge patch: null removes.
base::Json Changed(const char* patch) {
  base::Json conf = BridgeJson();
  conf.merge_patch(base::Json::parse(patch));
  return conf;
}

std::string Describe(const Range& range) {
  return ToString(range.subnet) + " " + ToString(range.start) + "-" + ToString(range.end) + " " +
         ToString(range.gateway);
}

}  // namespace

TEST_CASE("a stock bridge configuration is the engine's, with host-local's defaults") {
  const auto conf = DecodeBridge(BridgeJson().dump());
  REQUIRE(conf.has_value());
  CHECK(conf->network == "net");
  CHECK(conf->bridge == "crisp0");
  CHECK(conf->is_gateway);
  CHECK_FALSE(conf->is_default_gateway);
  CHECK_FALSE(conf->ip_masq);
  CHECK(conf->mtu == 0);
  CHECK_FALSE(conf->mac.has_value());
  CHECK(conf->dns == "{}");
  CHECK(conf->ipam.directory == "/var/lib/cni/networks/net");
  REQUIRE(conf->ipam.sets.size() == 1);
  CHECK(Describe(conf->ipam.sets[0][0]) == "10.1.0.0/24 10.1.0.1-10.1.0.254 10.1.0.1");
  REQUIRE(conf->ipam.routes.size() == 1);
  CHECK(ToString(conf->ipam.routes[0].destination) == "0.0.0.0/0");
  CHECK_FALSE(conf->ipam.routes[0].gateway.has_value());
  CHECK(DecodeBridge(Changed(R"({"bridge": null})").dump())->bridge == "cni0");
}

TEST_CASE("every option that the engine has is read") {
  const auto conf = DecodeBridge(Changed(R"({
      "isGateway": false, "isDefaultGateway": true, "forceAddress": true, "ipMasq": true,
      "mtu": 1400, "hairpinMode": true,
      "dns": {"nameservers": ["10.1.0.2"], "domain": "", "search": []},
      "args": {"cni": {"mac": "02:00:00:00:00:01", "ips": ["10.1.0.9/24"]}},
      "runtimeConfig": {"mac": "02:00:00:00:00:aB", "ips": ["fd00::9", "10.1.0.9"],
                        "portMappings": [{"hostPort": 80}]},
      "ipam": {"dataDir": "/leases",
               "subnet": "10.9.0.0/16", "rangeStart": "10.9.1.0", "rangeEnd": "10.9.1.9",
               "gateway": "10.9.0.254",
               "routes": [{"dst": "fd01::/16", "gw": "fd00::1"}],
               "ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "10.2.0.0/24"}],
                          [{"subnet": "fd00::/64"}]]}})")
                                     .dump());
  REQUIRE(conf.has_value());
  CHECK(conf->is_gateway);
  CHECK(conf->is_default_gateway);
  CHECK(conf->force_address);
  CHECK(conf->ip_masq);
  CHECK(conf->hairpin);
  CHECK(conf->mtu == 1400);
  CHECK(base::Json::parse(conf->dns) == base::Json{{"nameservers", {"10.1.0.2"}}});
  CHECK(conf->mac == Mac{0x02, 0, 0, 0, 0, 0xab});
  CHECK(conf->ipam.directory == "/leases/net");
  REQUIRE(conf->ipam.requested.size() == 2);
  CHECK(ToString(conf->ipam.requested[0]) == "10.1.0.9");
  CHECK(ToString(conf->ipam.requested[1]) == "fd00::9");
  REQUIRE(conf->ipam.sets.size() == 3);
  CHECK(Describe(conf->ipam.sets[0][0]) == "10.9.0.0/16 10.9.1.0-10.9.1.9 10.9.0.254");
  CHECK(Describe(conf->ipam.sets[1][1]) == "10.2.0.0/24 10.2.0.1-10.2.0.254 10.2.0.1");
  CHECK(Describe(conf->ipam.sets[2][0]) == "fd00::/64 fd00::1-fd00::ffff:ffff:ffff:ffff fd00::1");
  CHECK(ToString(*conf->ipam.routes[0].gateway) == "fd00::1");
  CHECK(DecodeBridge(Changed(R"({"promiscMode": true})").dump())->promiscuous);
}

TEST_CASE("a configuration with an option that the engine does not have is the plugin's") {
  for (const char* patch :
       {R"({"vlan": 5})", R"({"macspoofchk": true})", R"({"enabledad": true})",
        R"({"ipMasqBackend": "nftables"})", R"({"isgateway": true})", R"({"comment": "x"})",
        R"({"args": {"cni": {"labels": []}}})", R"({"args": {"x": 1}})",
        R"({"runtimeConfig": {"ipRanges": []}})", R"({"dns": {"x": 1}})",
        R"({"ipam": {"type": "dhcp"}})", R"({"ipam": {"type": null}})", R"({"ipam": null})",
        R"({"ipam": {"x": 1}})", R"({"ipam": {"resolvConf": "/etc/resolv.conf"}})",
        R"({"ipam": {"dataDir": "leases"}})",
        R"({"ipam": {"routes": [{"dst": "10.0.0.0/8", "mtu": 1400}]}})",
        R"({"ipam": {"ranges": [[{"subnet": "10.1.0.0/24", "x": 1}]]}})"}) {
    INFO(patch);
    CHECK_FALSE(DecodeBridge(Changed(patch).dump()).has_value());
  }
}

TEST_CASE("what a plugin refuses is left to it, which says what is wrong") {
  for (const char* patch :
       {R"({"bridge": ""})",
        R"({"bridge": "a-name-too-long-0"})",
        R"({"bridge": "a/b"})",
        R"({"bridge": "br%d"})",
        R"({"mtu": -1})",
        R"({"mtu": 65536})",
        R"({"mtu": "1400"})",
        R"({"isGateway": "true"})",
        R"({"hairpinMode": true, "promiscMode": true})",
        R"({"runtimeConfig": {"mac": "02:00"}})",
        R"({"runtimeConfig": {"ips": ["x"]}})",
        R"({"ipam": {"ranges": []}})",
        R"({"ipam": {"ranges": [[]]}})",
        R"({"ipam": {"ranges": [[{"subnet": "10.1.0.1/24"}]]}})",
        R"({"ipam": {"ranges": [[{"subnet": "10.1.0.0/31"}]]}})",
        R"({"ipam": {"ranges": [[{"subnet": "0.1.0.0/16"}]]}})",
        R"({"ipam": {"ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.2.0.1"}]]}})",
        R"({"ipam": {"ranges": [[{"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.0"}]]}})",
        R"({"ipam": {"ranges": [[{"subnet": "10.1.0.0/24", "gateway": "fd00::1"}]]}})",
        R"({"ipam": {"ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00::/64"}]]}})",
        R"({"ipam": {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.0/16"}]]}})",
        R"({"cniVersion": "0.2.0",
               "ipam": {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]}})",
        R"({"ipam": {"routes": [{"dst": "10.0.0.0"}]}})",
        R"({"ipam": {"routes": {"x": {"dst": "10.0.0.0/8"}}}})",
        R"({"ipam": {"ranges": {"x": [{"subnet": "10.1.0.0/24"}]}}})",
        R"({"runtimeConfig": {"ips": "10.1.0.9"}})"}) {
    INFO(patch);
    CHECK_FALSE(DecodeBridge(Changed(patch).dump()).has_value());
  }
  CHECK_FALSE(DecodeBridge("{").has_value());
  CHECK_FALSE(DecodeBridge("[]").has_value());
}

TEST_CASE("DEL finds the addresses and the host's end of the veth in prevResult") {
  const auto conf = DecodeBridge(Changed(R"({"prevResult": {
      "interfaces": [{"name": "crisp0"}, {"name": "veth1234"}, {"name": "eth0", "sandbox": "/n"}],
      "ips": [{"address": "10.1.0.5/24", "interface": 2}, {"address": "fd00::5/64"}]}})")
                                     .dump());
  REQUIRE(conf.has_value());
  CHECK(conf->attached.host_link == "veth1234");
  REQUIRE(conf->attached.addresses.size() == 2);
  CHECK(ToString(conf->attached.addresses[1]) == "fd00::5/64");

  // Which of two it is nobody can say.
  const auto two = DecodeBridge(Changed(R"({"prevResult": {
      "interfaces": [{"name": "crisp0"}, {"name": "veth1234"}, {"name": "other"}]}})")
                                    .dump());
  REQUIRE(two.has_value());
  CHECK(two->attached.host_link.empty());
}

TEST_CASE("an odd answer of another plugin does not keep DEL from the engine") {
  for (const char* patch :
       {R"({"prevResult": {"ips": [{"address": "10.1.0.5"}]}})",
        R"({"prevResult": {"interfaces": [{"name": "veth1234", "sandbox": null}]}})",
        R"({"prevResult": {"interfaces": [{}]}})", R"({"prevResult": {"ips": "x"}})",
        R"({"prevResult": null})"}) {
    INFO(patch);
    const auto conf = DecodeBridge(Changed(patch).dump());
    REQUIRE(conf.has_value());
    CHECK(conf->attached.addresses.empty());
    CHECK(conf->attached.host_link.empty());
  }
}

TEST_CASE("loopback has no options") {
  const auto conf = DecodeLoopback(
      R"({"cniVersion": "1.0.0", "name": "n", "type": "loopback", "prevResult": {"ips": []}})");
  REQUIRE(conf.has_value());
  CHECK(conf->prev_result == R"({"ips":[]})");
  CHECK(DecodeLoopback(R"({"cniVersion": "1.0.0", "name": "n", "type": "loopback"})").has_value());
  CHECK_FALSE(DecodeLoopback(R"({"type": "loopback", "x": 1})").has_value());
}
