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
  for (const char* text : {"", "{}", "[]", R"({"code":0,"msg":"x"})", R"({"code":"7"})",
                           R"({"cniVersion":"1.0.0","ips":[]})", "panic: x"}) {
    CAPTURE(text);
    CHECK_FALSE(ParsePluginError(text).has_value());
  }
  const std::string huge = base::Json({{"code", 7}, {"msg", std::string(500'000, 'm')}}).dump();
  CHECK(ParsePluginError(huge)->message.size() == 1024);
}
