// The plugin portmap: what of its configuration the engine takes, and what it leaves to the plugin.
#include <netinet/in.h>

#include <catch2/catch.hpp>

#include "cni/native/conf.h"
#include "cni/native/engine.h"
#include "cni/native/host_ports.h"
#include "native_fixture.h"

using namespace crisp;
using namespace crisp::cni;
using namespace crisp::cni::native;

namespace {

// A pod with an address of IPv6, for which no sysctl is set.
base::Json PortmapJson() {
  return base::Json::parse(R"({
      "cniVersion": "1.0.0", "name": "net", "type": "portmap", "snat": true,
      "runtimeConfig": {"portMappings": [
          {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]},
      "prevResult": {"cniVersion": "1.0.0",
          "interfaces": [{"name": "cni0"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/n"}],
          "ips": [{"address": "fd00::5/64", "gateway": "fd00::1", "interface": 2}]}})");
}

// The configuration with the changes of a JSON merge patch: null removes.
base::Json Changed(const char* patch) {
  base::Json conf = PortmapJson();
  conf.merge_patch(base::Json::parse(patch));
  return conf;
}

base::Json WithPorts(const std::string& ports) {
  base::Json conf = PortmapJson();
  conf["runtimeConfig"]["portMappings"] = base::Json::parse(ports);
  return conf;
}

std::string Port(const std::string& more) {
  return R"({"hostPort": 80, "containerPort": 80, "protocol": "tcp")" + more + "}";
}

std::string Describe(const HostPort& port) {
  return std::to_string(port.protocol) + " " +
         (port.address.has_value() ? ToString(*port.address) : "every") + " " +
         std::to_string(port.port) + " " + std::to_string(port.pod_port);
}

std::optional<absl::StatusOr<std::string>> Run(bool enabled, Verb verb, const base::Json& conf,
                                               base::Deadline deadline) {
  PluginCall call;
  call.verb = verb;
  call.type = "portmap";
  call.conf = conf.dump();
  call.container_id = "pod1";
  return Engine(enabled).Run(call, deadline);
}

}  // namespace

TEST_CASE("port mappings and the pod's addresses are read") {
  const auto conf = DecodePortmap(WithPorts(R"([
      {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""},
      {"hostPort": 65535, "containerPort": 1, "protocol": "udp"},
      {"hostPort": 8080, "containerPort": 80, "protocol": "sctp", "hostIP": "0.0.0.0"},
      {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.1"},
      {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.2"},
      {"hostPort": 53, "containerPort": 54, "protocol": "udp", "hostIP": "::"}])")
                                      .dump());
  REQUIRE(conf.has_value());
  CHECK(conf->snat);
  std::string described;
  for (const HostPort& port : conf->ports) described += Describe(port) + ";";
  CHECK(described ==
        "6 every 8080 80;17 every 65535 1;132 0.0.0.0 8080 80;17 192.0.2.1 53 53;"
        "17 192.0.2.2 53 53;17 :: 53 54;");
  REQUIRE(conf->pod.size() == 1);
  CHECK(ToString(conf->pod[0]) == "fd00::5/64");
  CHECK(base::Json::parse(conf->prev_result) == PortmapJson()["prevResult"]);
  CHECK_FALSE(DecodePortmap(Changed(R"({"snat": false})").dump())->snat);
  CHECK(DecodePortmap(Changed(R"({"snat": null})").dump())->snat);  // the default
  CHECK(DecodePortmap(Changed(R"({"runtimeConfig": null})").dump())->ports.empty());
}

TEST_CASE("the first address of each family on the pod's interface is the one that ports lead to") {
  const auto conf = DecodePortmap(Changed(R"({"prevResult": {"ips": [
      {"address": "10.9.0.1/16", "interface": 0}, {"address": "10.1.0.5/16", "interface": 2},
      {"address": "10.1.0.6/16", "interface": 2}, {"address": "fd00::5/64"}]}})")
                                      .dump());
  REQUIRE(conf.has_value());
  REQUIRE(conf->pod.size() == 2);
  CHECK(ToString(conf->pod[0]) == "10.1.0.5/16");
  CHECK(ToString(conf->pod[1]) == "fd00::5/64");
  // An odd answer of another plugin does not keep DEL from the engine.
  for (const char* patch :
       {R"({"prevResult": {"ips": [{"address": "10.1.0.5"}]}})", R"({"prevResult": {"ips": "x"}})",
        R"({"prevResult": null})", R"({"prevResult": {"ips": null, "ip6": {"ip": "fd00::5/64"}}})",
        R"({"prevResult": {"interfaces": [1, 2, 3]}})"}) {
    INFO(patch);
    const auto odd = DecodePortmap(Changed(patch).dump());
    REQUIRE(odd.has_value());
    CHECK(odd->pod.empty());
    CHECK(odd->ports.size() == 1);
  }
}

TEST_CASE("a portmap configuration with an option that the engine does not have is the plugin's") {
  for (const char* patch :
       {R"({"markMasqBit": 14})", R"({"externalSetMarkChain": "KUBE-MARK-MASQ"})",
        R"({"conditionsV4": ["!", "-d", "192.0.2.0/24"]})", R"({"conditionsV6": []})",
        R"({"masqAll": true})", R"({"backend": "iptables"})", R"({"SNAT": false})",
        R"({"snat": "true"})", R"({"runtimeConfig": {"portmappings": []}})",
        R"({"runtimeConfig": {"portMappings": "x"}})"}) {
    INFO(patch);
    const base::Json conf = Changed(patch);
    CHECK_FALSE(DecodePortmap(conf.dump()).has_value());
    for (const Verb verb : {Verb::kAdd, Verb::kDel}) {
      CHECK_FALSE(Run(true, verb, conf, Soon()).has_value());
    }
  }
}

TEST_CASE("port mappings that are wrong or that a packet could take two of are the plugin's") {
  std::string many = "[";
  for (int i = 1; i <= 201; ++i) {
    many += R"({"hostPort": )" + std::to_string(i) + R"(, "containerPort": 1, "protocol": "tcp"})" +
            (i == 201 ? "]" : ",");
  }
  for (const std::string& ports :
       {"[" + Port(R"(, "hostPort": 0)") + "]", "[" + Port(R"(, "hostPort": 65536)") + "]",
        "[" + Port(R"(, "hostPort": -1)") + "]", "[" + Port(R"(, "hostPort": 80.5)") + "]",
        "[" + Port(R"(, "containerPort": 0)") + "]",
        "[" + Port(R"(, "containerPort": 65616)") + "]", "[" + Port(R"(, "protocol": "TCP")") + "]",
        "[" + Port(R"(, "protocol": "icmp")") + "]", "[" + Port(R"(, "hostIP": "x")") + "]",
        "[" + Port(R"(, "hostIP": "192.0.2.0/24")") + "]",
        "[" + Port(R"(, "hostIP": "::ffff:192.0.2.1")") + "]", "[" + Port(R"(, "x": 1)") + "]",
        std::string(R"([{"hostPort": 80, "containerPort": 80}])"),
        "[" + Port("") + "," + Port("") + "]",
        "[" + Port("") + "," + Port(R"(, "hostIP": "::1")") + "]",
        "[" + Port(R"(, "hostIP": "192.0.2.1")") + "," + Port(R"(, "hostIP": "0.0.0.0")") + "]",
        "[" + Port(R"(, "hostIP": "::1")") + "," + Port(R"(, "hostIP": "0::1")") + "]", many}) {
    INFO(ports.substr(0, 200));
    CHECK_FALSE(DecodePortmap(WithPorts(ports).dump()).has_value());
  }
  for (const std::string& ports :
       {"[" + Port("") + "," + Port(R"(, "protocol": "udp")") + "]",
        "[" + Port("") + "," + Port(R"(, "hostPort": 81)") + "]",
        "[" + Port(R"(, "hostIP": "0.0.0.0")") + "," + Port(R"(, "hostIP": "::")") + "]"}) {
    INFO(ports);
    CHECK(DecodePortmap(WithPorts(ports).dump()).has_value());
  }
}

TEST_CASE("a pod without port mappings costs portmap nothing, in the engine") {
  const base::Json conf = WithPorts("[]");
  const auto added = Run(true, Verb::kAdd, conf, Soon());
  REQUIRE(added.has_value());
  REQUIRE(added->ok());
  CHECK(base::Json::parse(**added) == conf["prevResult"]);
  const auto deleted = Run(true, Verb::kDel, conf, Soon());
  REQUIRE(deleted.has_value());
  CHECK(deleted->ok());
  CHECK_FALSE(Run(false, Verb::kAdd, conf, Soon()).has_value());
  CHECK_FALSE(Run(false, Verb::kDel, conf, Soon()).has_value());
}

TEST_CASE("switched off, the engine asks for its host ports once") {
  if (HostPorts().HasTables(Soon()).value_or(false)) {
    printf("skipped: host ports that are not there: another crispd has some\n");
    return;
  }
  PluginCall call;
  call.verb = Verb::kDel;
  call.type = "portmap";
  call.conf = PortmapJson().dump();
  call.container_id = "pod1";
  Engine off(false);
  CHECK_FALSE(off.Run(call, Soon()).has_value());
  CHECK_FALSE(off.Run(call, base::Deadline::In(absl::ZeroDuration())).has_value());
}

// The address would go to another pod, and with it the ports.
TEST_CASE("switched off, the engine does not take a question without an answer for no host ports") {
  const base::Deadline over = base::Deadline::In(absl::ZeroDuration());
  const auto deleted = Run(false, Verb::kDel, PortmapJson(), over);
  REQUIRE(deleted.has_value());
  CHECK(absl::IsDeadlineExceeded(deleted->status()));
}

// Out of time, the engine asks the kernel nothing.
TEST_CASE("the engine takes ADD and DEL of portmap, if it is switched on") {
  const base::Deadline over = base::Deadline::In(absl::ZeroDuration());
  for (const Verb verb : {Verb::kAdd, Verb::kDel}) {
    const auto taken = Run(true, verb, PortmapJson(), over);
    REQUIRE(taken.has_value());
    CHECK(absl::IsDeadlineExceeded(taken->status()));
    const std::string start = verb == Verb::kAdd ? "cni add: plugin portmap: nftables: "
                                                 : "cni del: plugin portmap: nftables: ";
    CHECK(std::string(taken->status().message()).rfind(start, 0) == 0);
  }
  CHECK_FALSE(Run(false, Verb::kAdd, PortmapJson(), over).has_value());
  // The plugin says what is wrong with an ADD without a result before it.
  CHECK_FALSE(Run(true, Verb::kAdd, Changed(R"({"prevResult": null})"), over).has_value());
  CHECK(Run(true, Verb::kDel, Changed(R"({"prevResult": null})"), over).has_value());
}
