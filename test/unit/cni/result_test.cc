#include "cni/result.h"

#include <catch2/catch.hpp>

#include "cni_fixture.h"

using namespace crisp;
using namespace crisp::cni;

TEST_CASE("ParseResult finds the addresses of the pod's interface") {
  const auto result = ParseResult(
      R"({"cniVersion":"1.0.0",
          "interfaces":[{"name":"br0"},{"name":"eth0","sandbox":"/run/netns/x"},{"name":"eth0"},
                        {"name":"net1","sandbox":"/run/netns/x"}],
          "ips":[{"address":"10.0.0.1/24","interface":0},{"address":"10.0.0.2/24","interface":1},
                 {"address":"10.0.0.3/24","interface":2},{"address":"fd00::2/64","interface":1},
                 {"address":"10.0.0.4/24","interface":3},{"address":"10.0.0.5/24"}],
          "dns":{"nameservers":["10.0.0.53"]},"routes":[{"dst":"0.0.0.0/0","weight":-0.5}]})",
      "1.0.0");
  REQUIRE(result.ok());
  CHECK(result->ips == std::vector<std::string>{"10.0.0.2", "fd00::2", "10.0.0.5"});
  CHECK(base::Json::parse(result->json)["dns"]["nameservers"][0] == "10.0.0.53");
  // The next plugin gets numbers unchanged.
  CHECK(base::Json::parse(result->json)["routes"][0]["weight"] == -0.5);
}

TEST_CASE("an interface with the pod's name is the pod's when a plugin says of none where it is") {
  const auto result = ParseResult(
      R"({"cniVersion":"0.4.0","interfaces":[{"name":"eth0"},{"name":"veth1"}],
          "ips":[{"version":"4","address":"10.0.0.2/24","interface":0},
                 {"version":"4","address":"10.0.0.1/24","interface":1}]})",
      "0.4.0");
  REQUIRE(result.ok());
  CHECK(result->ips == std::vector<std::string>{"10.0.0.2"});
}

TEST_CASE("ParseResult reads results of every supported version") {
  for (const char* version : {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    const std::string text = std::string(R"({"cniVersion":")") + version +
                             R"(","ips":[{"version":"4","address":"10.0.0.9/16"}]})";
    CHECK(ParseResult(text, "1.0.0")->ips == std::vector<std::string>{"10.0.0.9"});
  }
  // A result without a version has that of the configuration.
  const auto filled = ParseResult("{}", "0.4.0");
  REQUIRE(filled.ok());
  CHECK(filled->ips.empty());
  CHECK(filled->json == R"({"cniVersion":"0.4.0"})");
}

TEST_CASE("an answer in another version is read, and converted for the next plugin") {
  constexpr char kOld[] =
      R"({"cniVersion":"0.2.0","dns":{"search":["a"]},
          "ip4":{"ip":"10.0.0.9/24","gateway":"10.0.0.1",
                 "routes":[{"dst":"0.0.0.0/0"},{"dst":"10.8.0.0/16","gw":"10.0.0.2"}]},
          "ip6":{"ip":"fd00::9/64","routes":[{"dst":"::/0"}]}})";
  constexpr char kNew[] =
      R"({"cniVersion":"1.0.0","dns":{"search":["a"]},"interfaces":[{"name":"eth0","sandbox":"/n"}],
          "ips":[{"address":"10.0.0.9/24","gateway":"10.0.0.1","interface":0},
                 {"address":"10.0.0.10/24","interface":0},{"address":"fd00::9/64","interface":0}],
          "routes":[{"dst":"0.0.0.0/0"},{"dst":"10.8.0.0/16","gw":"10.0.0.2"},{"dst":"::/0"}]})";
  constexpr char kOldRoutes[] =
      R"([{"dst":"0.0.0.0/0"},{"dst":"10.8.0.0/16","gw":"10.0.0.2"},{"dst":"::/0"}])";
  const std::vector<std::string> both = {"10.0.0.9", "fd00::9"};
  const auto json = [](const absl::StatusOr<Result>& result) {
    REQUIRE(result.ok());
    return base::Json::parse(result->json);
  };
  // Unchanged between versions without lists.
  const auto same = ParseResult(kOld, "0.1.0");
  CHECK(same->ips == both);
  base::Json expected = base::Json::parse(kOld);
  expected["cniVersion"] = "0.1.0";
  CHECK(json(same) == expected);
  // Up: lists, with the family of an address where the version has it.
  for (const auto& [version, family] : {std::pair{"0.3.1", true}, std::pair{"1.1.0", false}}) {
    CAPTURE(version);
    const auto up = ParseResult(kOld, version);
    CHECK(up->ips == both);
    const base::Json document = json(up);
    CHECK(document["cniVersion"] == version);
    CHECK(document["dns"]["search"][0] == "a");
    CHECK(document["routes"] == base::Json::parse(kOldRoutes));
    CHECK_FALSE(document.contains("ip4"));
    REQUIRE(document["ips"].size() == 2);
    CHECK(document["ips"][0]["address"] == "10.0.0.9/24");
    CHECK(document["ips"][0]["gateway"] == "10.0.0.1");
    CHECK(document["ips"][0].contains("version") == family);
    if (family) CHECK(document["ips"][1]["version"] == "6");
  }
  // Down: the first address of each family.
  const auto down = ParseResult(kNew, "0.2.0");
  CHECK(down->ips == std::vector<std::string>{"10.0.0.9", "10.0.0.10", "fd00::9"});
  expected["cniVersion"] = "0.2.0";
  CHECK(json(down) == expected);
  const base::Json families = json(ParseResult(kNew, "0.4.0"));
  CHECK(families["ips"][1]["version"] == "4");
  CHECK(families["ips"][2]["version"] == "6");
  CHECK(families["interfaces"][0]["name"] == "eth0");
  // No version, or an empty one, is that of the network.
  CHECK(ParseResult(R"({"cniVersion":"","ip4":{"ip":"10.0.0.9/24"}})", "0.2.0")->ips ==
        std::vector<std::string>{"10.0.0.9"});
}

TEST_CASE("the results that network add-ons answer have the pod's addresses") {
  const struct {
    const char* plugin;
    const char* result;
    std::vector<std::string> ips;
  } cases[] = {
      {"calico",
       R"({"cniVersion":"0.3.1","interfaces":[{"name":"cali1a2b3c4d5e6"}],
          "ips":[{"version":"4","address":"192.168.7.9/32"}],"dns":{}})",
       {"192.168.7.9"}},
      {"cilium",
       R"({"cniVersion":"0.3.1","interfaces":[{"name":"lxc0a1b","mac":"0e:01"},
          {"name":"eth0","mac":"0e:02","sandbox":"/var/run/netns/cni-1"}],
          "ips":[{"version":"4","interface":1,"address":"10.0.1.5/32","gateway":"10.0.1.2"},
                 {"version":"6","interface":1,"address":"fd00::5/128","gateway":"fd00::2"}],
          "routes":[{"dst":"10.0.1.2/32","mtu":1450},{"dst":"0.0.0.0/0","gw":"10.0.1.2"}]})",
       {"10.0.1.5", "fd00::5"}},
      {"flannel, which is bridge",
       R"({"cniVersion":"0.3.1","interfaces":[
          {"name":"cni0","mac":"aa"},{"name":"veth7","mac":"bb"},
          {"name":"eth0","mac":"cc","sandbox":"/var/run/netns/cni-1"}],
          "ips":[{"version":"4","interface":2,"address":"10.244.0.7/24","gateway":"10.244.0.1"}],
          "routes":[{"dst":"10.244.0.0/16"},{"dst":"0.0.0.0/0","gw":"10.244.0.1"}],"dns":{}})",
       {"10.244.0.7"}},
      {"aws-cni",
       R"({"cniVersion":"0.4.0","interfaces":[{"name":"eni1a2b3c"},
          {"name":"eth0","sandbox":"/var/run/netns/cni-1"},
          {"name":"dummy1a2b3c","mac":"0","sandbox":"3"}],
          "ips":[{"version":"4","interface":1,"address":"10.0.77.4/32"}]})",
       {"10.0.77.4"}},
      {"azure-vnet",
       R"({"cniVersion":"0.3.0","interfaces":[{"name":"eth0"}],
          "ips":[{"version":"4","interface":0,"address":"10.240.0.14/16","gateway":"10.240.0.1"}],
          "routes":[{"dst":"0.0.0.0/0","gw":"10.240.0.1"}],
          "dns":{"nameservers":["168.63.129.16"]}})",
       {"10.240.0.14"}},
      {"kindnet, which is ptp",
       R"({"cniVersion":"0.3.1","interfaces":[{"name":"veth1","mac":"aa"},
          {"name":"eth0","mac":"bb","sandbox":"/var/run/netns/cni-1"}],
          "ips":[{"version":"4","interface":1,"address":"10.244.1.3/24","gateway":"10.244.1.1"}],
          "routes":[{"dst":"0.0.0.0/0"}],"dns":{}})",
       {"10.244.1.3"}},
      {"weave-net",
       R"({"cniVersion":"0.3.0","ips":[{"version":"4","address":"10.32.0.4/12",
          "gateway":"10.32.0.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.32.0.1"}],"dns":{}})",
       {"10.32.0.4"}},
      {"multus",
       R"({"cniVersion":"1.0.0","interfaces":[
          {"name":"eth0","mac":"aa","sandbox":"/var/run/netns/cni-1"}],
          "ips":[{"interface":0,"address":"10.1.0.8/24"}],"dns":null,"routes":null})",
       {"10.1.0.8"}},
      {"a plugin that writes null for what it does not have",
       R"({"cniVersion":"0.3.1","interfaces":[{"name":null},{"name":"eth0","sandbox":null}],
          "ips":[{"address":"10.2.0.8/24","interface":1,"gateway":null}],
          "routes":[{"dst":null}],"dns":null})",
       {"10.2.0.8"}},
  };
  for (const auto& [plugin, result, ips] : cases) {
    for (const char* version : {"0.2.0", "0.3.1", "1.1.0"}) {
      INFO(plugin << " in a network of " << version);
      const auto parsed = ParseResult(result, version);
      REQUIRE(parsed.ok());
      CHECK(parsed->ips == ips);
      // What the next plugin gets.
      CHECK(base::Json::parse(parsed->json)["cniVersion"] == version);
      CHECK(ParseResult(parsed->json, version)->ips == ips);
    }
  }
  CHECK(ParseResult(R"({"cniVersion":null,"ips":[{"address":"10.2.0.8/24"}]})", "1.0.0")->ips ==
        std::vector<std::string>{"10.2.0.8"});
}

TEST_CASE("ParseResult refuses hostile answers with a short, printable reason") {
  const std::string many_ips = [] {
    base::Json ips = base::Json::array();
    for (int i = 0; i < 65; ++i) ips.push_back({{"address", "10.0.0.1/24"}});
    return base::Json({{"ips", ips}}).dump();
  }();
  for (const std::string& text :
       {std::string(), std::string(" \n"), std::string("[]"), std::string("7"),
        std::string("{]\x01\x02"), std::string(100'000, '['), many_ips,
        std::string(R"({"cniVersion":"2.0.0"})"), std::string(R"({"cniVersion":1})"),
        std::string(R"({"cniVersion":"0.2.0","ip4":7})"),
        std::string(R"({"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.1;reboot"}})"),
        std::string(R"({"ips":{}})"), std::string(R"({"ips":[7]})"), std::string(R"({"ips":[{}]})"),
        std::string(R"({"ips":[{"address":"10.0.0.300/24"}]})"),
        std::string(R"({"ips":[{"address":"10.0.0.1;reboot"}]})"),
        std::string(R"({"ips":[{"address":"10.0.0.1/24","interface":0}]})"),
        std::string(R"({"ips":[{"address":"10.0.0.1/24","interface":-1}],"interfaces":[{}]})"),
        std::string(R"({"ips":[{"address":"10.0.0.1/24","interface":0}],"interfaces":{}})")}) {
    CAPTURE(text.substr(0, 80));
    const absl::Status status = ParseResult(text, "1.0.0").status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK(status.message().size() < 1200);
    CHECK(Printable(status.message()) == Text(status));
  }
}

TEST_CASE("ParsePluginError reads error objects only, and bounds the message") {
  const auto error = ParsePluginError(
      R"({"cniVersion":"1.0.0","code":11,"msg":"no address\nleft","details":"range 10.0.0.0/30"})");
  REQUIRE(error.has_value());
  CHECK(error->code == 11);
  // Codes are unsigned, and the specification sets no maximum.
  CHECK(ParsePluginError(R"({"code":4294967303})")->code == 4294967303);
  CHECK(ParsePluginError(R"({"code":18446744073709551615})")->code == UINT64_MAX);
  CHECK(error->message == "no address left: range 10.0.0.0/30");
  CHECK(ParsePluginError(R"({"code":7,"msg":"why","details":null})")->message == "why");
  for (const char* text : {"", "{}", "[]", R"({"code":0,"msg":"x"})", R"({"code":"7"})",
                           R"({"cniVersion":"1.0.0","ips":[]})", "panic: x"}) {
    CAPTURE(text);
    CHECK_FALSE(ParsePluginError(text).has_value());
  }
  const std::string huge = base::Json({{"code", 7}, {"msg", std::string(500'000, 'm')}}).dump();
  CHECK(ParsePluginError(huge)->message.size() == 1024);
}
