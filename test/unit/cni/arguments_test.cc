#include "cni/arguments.h"

#include <catch2/catch.hpp>

#include "cni_fixture.h"

using namespace crisp;
using namespace crisp::cni;

TEST_CASE("PodArgs has the arguments that plugins expect") {
  const auto args = PodArgs(PodRequest());
  REQUIRE(args.ok());
  CHECK(FormatArgs(*args) ==
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=" +
            std::string(64, 'a') + ";K8S_POD_UID=6f1c");
}

TEST_CASE("PodArgs refuses values that would inject an argument") {
  for (const char* value : {"a;IgnoreUnknown=0", "a;b", "a=b", "a\nb", "a\x7f"}) {
    CAPTURE(value);
    for (std::string PodNetworkRequest::*field :
         {&PodNetworkRequest::pod_name, &PodNetworkRequest::pod_namespace,
          &PodNetworkRequest::pod_uid}) {
      PodNetworkRequest request = PodRequest();
      request.*field = value;
      CHECK(PodArgs(request).status().code() == absl::StatusCode::kInvalidArgument);
    }
  }
  PodNetworkRequest request = PodRequest();
  request.pod_uid = std::string("a\0b", 3);
  CHECK(Contains(Text(PodArgs(request).status()), "K8S_POD_UID"));
  for (const char* id : {"", "../x", "a/b", "-a", "a;b"}) {
    request = PodRequest();
    request.sandbox_id = id;
    CHECK_FALSE(PodArgs(request).ok());
  }
}

TEST_CASE("ParseBandwidth reads Kubernetes quantities") {
  const std::pair<const char*, uint64_t> good[] = {{"10M", 10'000'000},
                                                   {"1k", 1000},
                                                   {"1.5Gi", 1'610'612'736},
                                                   {"2e6", 2'000'000},
                                                   {"1P", 1'000'000'000'000'000},
                                                   {"1000", 1000},
                                                   {"5000000m", 5000},
                                                   {"0.1M", 100'000},
                                                   {"1Ki", 1024},
                                                   {"3E3", 3000}};
  for (const auto& [text, bits] : good) {
    CAPTURE(text);
    CHECK(ParseBandwidth(text).value_or(0) == bits);
  }
  for (const char* text : {"", "M", "10m", "999", "2P", "-5M", "+", "1 M", "1MM", "0x10", "1..5M",
                           "nan", "inf", "1e99", "10MB", "1e", "."}) {
    CAPTURE(text);
    CHECK(ParseBandwidth(text).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

namespace {

// A network with a plugin for each list of capabilities.
NetworkConf Declaring(const std::vector<std::vector<std::string>>& plugins) {
  NetworkConf network;
  for (const std::vector<std::string>& capabilities : plugins) {
    network.plugins.emplace_back().capabilities = capabilities;
  }
  return network;
}

}  // namespace

TEST_CASE("CapabilityArgs has the requested port mappings and bandwidth limits") {
  const NetworkConf network = Declaring({{"portMappings"}, {"bandwidth"}});
  PodNetworkRequest request = PodRequest();
  CHECK(*CapabilityArgs(request, network) == "{}");
  request.port_mappings = {{8080, 80, Protocol::kTcp, "127.0.0.1"},
                           {0, 81, Protocol::kTcp, ""},
                           {53, 53, Protocol::kUdp, ""},
                           {99, 99, Protocol::kSctp, ""}};
  request.annotations = {{"kubernetes.io/egress-bandwidth", "10M"}, {"other", "x"}};
  const base::Json args = base::Json::parse(*CapabilityArgs(request, network));
  CHECK(args["portMappings"] == base::Json::parse(R"([
      {"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":"127.0.0.1"},
      {"hostPort":53,"containerPort":53,"protocol":"udp","hostIP":""},
      {"hostPort":99,"containerPort":99,"protocol":"sctp","hostIP":""}])"));
  CHECK(args["bandwidth"] == base::Json::parse(R"({"egressRate":10000000,
                                                   "egressBurst":4294967295})"));
  CHECK(args.size() == 2);
  request.annotations = {{"kubernetes.io/ingress-bandwidth", "much"}};
  CHECK(Text(CapabilityArgs(request, network).status()) ==
        "annotation kubernetes.io/ingress-bandwidth \"much\": must be a quantity like 10M");
  // Also if it is for nobody.
  CHECK_FALSE(CapabilityArgs(request, Declaring({{}})).ok());
}

TEST_CASE("CapabilityArgs has name servers, cgroup and annotations for plugins that ask for them") {
  PodNetworkRequest request = PodRequest();
  request.dns = {.servers = {"10.0.0.10"}, .searches = {"a.svc", "svc"}, .options = {}};
  request.cgroup_parent = "/kubepods/pod6f1c";
  request.annotations = {{"example.com/ips", "[\"10.1.2.3\"]"}, {"b", ""}};
  const NetworkConf all =
      Declaring({{"dns"}, {"cgroupPath", "io.kubernetes.cri.pod-annotations", "mac"}});
  CHECK(base::Json::parse(*CapabilityArgs(request, all)) == base::Json::parse(R"({
      "dns": {"servers": ["10.0.0.10"], "searches": ["a.svc", "svc"]},
      "cgroupPath": "/kubepods/pod6f1c",
      "io.kubernetes.cri.pod-annotations": {"example.com/ips": "[\"10.1.2.3\"]", "b": ""}})"));
  CHECK(*CapabilityArgs(request, Declaring({{"portMappings"}, {}})) == "{}");
  CHECK(*CapabilityArgs(PodRequest(), all) == "{}");
}

TEST_CASE("ExecConf gives a plugin only the capabilities it declared") {
  const auto network = ParseConf(R"({"cniVersion":"1.0.0","name":"n","plugins":[
      {"type":"x","mtu":7,"capabilities":{"portMappings":true}}, {"type":"y"}]})");
  REQUIRE(network.ok());
  const std::string args = R"({"portMappings":[1],"bandwidth":{}})";
  CHECK(base::Json::parse(*ExecConf(*network, network->plugins[0], args, "")) ==
        base::Json::parse(R"({"cniVersion":"1.0.0","name":"n","type":"x","mtu":7,
                              "runtimeConfig":{"portMappings":[1]}})"));
  CHECK(base::Json::parse(*ExecConf(*network, network->plugins[1], args, R"({"ips":[]})")) ==
        base::Json::parse(R"({"cniVersion":"1.0.0","name":"n","type":"y",
                              "prevResult":{"ips":[]}})"));
}
