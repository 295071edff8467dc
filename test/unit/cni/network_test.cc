#include "cni/network.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "cni/netns.h"
#include "cni_fixture.h"
#include "no_threads.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

const absl::Duration kEnough = absl::Seconds(20);
const base::Json kTwoPlugins = {{{"tag", "a"}},
                                {{"tag", "b"}, {"capabilities", {{"portMappings", true}}}}};

}  // namespace

TEST_CASE("Attach runs the plugins in order, Detach in reverse with the result") {
  EvilNetwork evil;
  evil.Configure(kTwoPlugins);
  const auto network = NewNetwork(evil.options);
  PodNetworkRequest request = PodRequest();
  request.port_mappings = {{8080, 80, Protocol::kTcp, ""}};
  const auto attached = network->Attach(request, In(kEnough));
  INFO(attached.status().message());
  REQUIRE(attached.ok());
  CHECK(attached->ips == std::vector<std::string>{"10.9.8.7", "fd00::7"});
  REQUIRE(attached->timings.size() == 2);
  CHECK(attached->timings[0].nanos > 0);
  CHECK(evil.CacheFiles() ==
        std::vector<std::string>{absl::StrCat("evilnet-", request.sandbox_id, "-eth0")});
  const base::Json cached = base::Json::parse(*base::ReadFile(
      absl::StrCat(evil.options.cache_dir, "/results/evilnet-", request.sandbox_id, "-eth0")));

  REQUIRE(network->Detach(request, In(kEnough)).ok());
  CHECK(evil.CallNames() == "ADD:a ADD:b DEL:b DEL:a");
  CHECK(evil.CacheFiles().empty());

  const auto calls = evil.Calls();
  const base::Json& result = cached.at("result");
  CHECK_FALSE(calls[0]["conf"].contains("prevResult"));
  CHECK_FALSE(calls[0]["conf"].contains("runtimeConfig"));
  CHECK(calls[1]["conf"]["prevResult"] == result);
  CHECK(calls[1]["conf"]["runtimeConfig"]["portMappings"][0]["hostPort"] == 8080);
  CHECK(calls[2]["conf"]["prevResult"] == result);
  CHECK(calls[2]["conf"]["runtimeConfig"]["portMappings"][0]["hostPort"] == 8080);
  CHECK(calls[3]["conf"]["prevResult"] == result);
  base::Json of_call = base::Json::object();
  for (const auto& [name, value] : calls[0]["env"].items()) {
    if (absl::StartsWith(name, "CNI_")) of_call[name] = value;
  }
  CHECK(of_call ==
        base::Json({{"CNI_COMMAND", "ADD"},
                    {"CNI_CONTAINERID", request.sandbox_id},
                    {"CNI_NETNS", request.netns_path},
                    {"CNI_IFNAME", "eth0"},
                    {"CNI_PATH", evil.options.plugin_dirs[0]},
                    {"CNI_ARGS", absl::StrCat("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;"
                                              "K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=",
                                              request.sandbox_id, ";K8S_POD_UID=6f1c")}}));
  for (const base::Json& call : calls) CHECK_FALSE(call.contains("inherited"));
}

TEST_CASE("plugins get the environment of crispd, but for the names of CNI and systemd") {
  EvilNetwork evil;
  evil.Configure(kOnePlugin);
  const std::string path = getenv("PATH");
  const auto restore = absl::Cleanup([&] {
    setenv("PATH", path.c_str(), 1);
    unsetenv("HTTPS_PROXY");
    unsetenv("CNI_ARGS");
    unsetenv("NOTIFY_SOCKET");
  });
  setenv("HTTPS_PROXY", "http://proxy:3128", 1);
  setenv("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=another", 1);
  setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
  setenv("PATH", "/nix/sw/bin:/usr/bin", 1);
  REQUIRE(NewNetwork(evil.options)->Attach(PodRequest(), In(kEnough)).ok());
  unsetenv("PATH");
  REQUIRE(NewNetwork(evil.options)->Detach(PodRequest(), In(kEnough)).ok());
  const auto calls = evil.Calls();
  REQUIRE(calls.size() == 2);
  CHECK(calls[0]["env"]["HTTPS_PROXY"] == "http://proxy:3128");
  CHECK_FALSE(calls[0]["env"].contains("NOTIFY_SOCKET"));
  CHECK(calls[0]["env"]["PATH"] == "/nix/sw/bin:/usr/bin");
  CHECK_FALSE(absl::StrContains(calls[0]["env"]["CNI_ARGS"].get<std::string>(), "another"));
  CHECK(absl::StartsWith(calls[1]["env"]["PATH"].get<std::string>(), "/usr/local/sbin:"));
}

TEST_CASE("the preferred family comes first") {
  EvilNetwork evil;
  evil.Configure(kOnePlugin);
  const auto ips = [&](IpPreference preference) {
    evil.options.ip_preference = preference;
    const auto network = NewNetwork(evil.options);
    const auto attached = network->Attach(PodRequest(), In(kEnough));
    return attached->ips;
  };
  CHECK(ips(IpPreference::kIpv4) == std::vector<std::string>{"10.9.8.7", "fd00::7"});
  CHECK(ips(IpPreference::kIpv6) == std::vector<std::string>{"fd00::7", "10.9.8.7"});
  CHECK(ips(IpPreference::kCni) == std::vector<std::string>{"fd00::7", "10.9.8.7"});
}

TEST_CASE("a plugin that answers an old result, and a network that declares no version, work") {
  EvilNetwork evil;
  evil.Configure({{{"tag", "a"}, {"ADD", "oldest"}}, {{"tag", "b"}}}, "0.3.1");
  const auto chained = NewNetwork(evil.options)->Attach(PodRequest(), In(kEnough));
  REQUIRE(chained.ok());
  CHECK(chained->ips == std::vector<std::string>{"10.9.8.7"});
  CHECK(evil.Calls()[1]["conf"]["prevResult"] ==
        base::Json::parse(R"({"cniVersion":"0.3.1","routes":[],"ips":[
            {"version":"4","address":"10.9.8.7/24","gateway":"10.9.8.1"}]})"));

  EvilNetwork undeclared;
  undeclared.Configure({{{"ADD", "oldest"}}}, "");
  const auto attached = NewNetwork(undeclared.options)->Attach(PodRequest(), In(kEnough));
  REQUIRE(attached.ok());
  CHECK(attached->ips == std::vector<std::string>{"10.9.8.7"});
  CHECK(undeclared.Calls()[0]["conf"]["cniVersion"] == "0.1.0");
  REQUIRE(NewNetwork(undeclared.options)->Detach(PodRequest(), In(kEnough)).ok());
  CHECK_FALSE(undeclared.Calls()[1]["conf"].contains("prevResult"));
}

TEST_CASE("prevResult goes to DEL from version 0.4.0 on") {
  for (const auto& [version, expected] :
       {std::pair<const char*, bool>{"0.3.1", false}, {"0.4.0", true}}) {
    EvilNetwork evil;
    evil.Configure(kOnePlugin, version);
    const auto network = NewNetwork(evil.options);
    REQUIRE(network->Attach(PodRequest(), In(kEnough)).ok());
    REQUIRE(network->Detach(PodRequest(), In(kEnough)).ok());
    CHECK(evil.Calls()[1]["conf"].contains("prevResult") == expected);
  }
}

TEST_CASE("Detach uses the configuration of the ADD, not the current one") {
  EvilNetwork evil;
  evil.Configure({{{"tag", "old"}}}, "1.0.0", "oldnet");
  REQUIRE(NewNetwork(evil.options)->Attach(PodRequest(), In(kEnough)).ok());
  SECTION("another network") { evil.Configure({{{"tag", "new"}}}, "1.0.0", "newnet"); }
  SECTION("an empty directory") { REQUIRE(base::RemoveTree(evil.options.conf_dir).ok()); }
  // A new object: nothing is kept in memory.
  REQUIRE(NewNetwork(evil.options)->Detach(PodRequest(), In(kEnough)).ok());
  CHECK(evil.CallNames() == "ADD:old DEL:old");
  CHECK(evil.Calls()[1]["conf"]["name"] == "oldnet");
  CHECK(evil.CacheFiles().empty());
}

TEST_CASE("Detach is idempotent, and OK for a pod that was never attached") {
  EvilNetwork evil;
  const auto network = NewNetwork(evil.options);
  CHECK(network->Detach(PodRequest(), In(kEnough)).ok());
  CHECK(evil.Calls().empty());
  evil.Configure({{{"tag", "a"}}});
  CHECK(network->Detach(PodRequest(), In(kEnough)).ok());
  CHECK(network->Detach(PodRequest(), In(kEnough)).ok());
  CHECK(evil.CallNames() == "DEL:a DEL:a");
  PodNetworkRequest refused = PodRequest();
  refused.pod_name = "a;b";
  CHECK(network->Attach(refused, In(kEnough)).status().code() ==
        absl::StatusCode::kInvalidArgument);
  CHECK(network->Detach(refused, In(kEnough)).ok());
  CHECK(evil.CallNames() == "DEL:a DEL:a");
}

TEST_CASE("Detach keeps the cache entry until every DEL has succeeded") {
  EvilNetwork evil;
  evil.Configure({{{"tag", "a"}, {"DEL", "fail:2"}}, {{"tag", "b"}}});
  REQUIRE(NewNetwork(evil.options)->Attach(PodRequest(), In(kEnough)).ok());
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = NewNetwork(evil.options)->Detach(PodRequest(), In(kEnough));
    CHECK(Text(status) == "cni del: plugin cni_evil: evil thing: happened (code 5)");
    CHECK(evil.CacheFiles().size() == 1);
  }
  CHECK(NewNetwork(evil.options)->Detach(PodRequest(), In(kEnough)).ok());
  CHECK(evil.CacheFiles().empty());
  CHECK(evil.CallNames() == "ADD:a ADD:b DEL:b DEL:a DEL:b DEL:a DEL:b DEL:a");
  CHECK(evil.Calls().back()["conf"].contains("prevResult"));
}

TEST_CASE("a DEL whose failure may pass is never given up, and tried with all it needs") {
  // "Try again later", any other error of the plugin's own, a signal, the deadline.
  const auto fault =
      GENERATE(values<std::pair<const char*, absl::Duration>>({{"later", kEnough},
                                                               {"code:5", kEnough},
                                                               {"code:999", kEnough},
                                                               {"stderr", kEnough},
                                                               {"crash", kEnough},
                                                               {"hang", absl::Milliseconds(300)}}));
  INFO(fault.first);
  EvilNetwork evil;
  evil.options.patience = absl::ZeroDuration();
  evil.Configure({{{"tag", "a"}, {"ipMasq", true}}, {{"tag", "b"}, {"DEL", fault.first}}});
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(kEnough)).ok());
  for (int i = 0; i < 2; ++i) {
    CHECK(Contains(Text(network->Detach(PodRequest(), In(fault.second))), "cni del: plugin "));
    CHECK(evil.CacheFiles().size() == 1);
  }
  CHECK(evil.CallNames() == "ADD:a ADD:b DEL:b DEL:b");
}

TEST_CASE("a plugin that may succeed later keeps the namespace in the place of the pod's") {
  // Without one it would succeed, and leave its rules.
  const auto fault = GENERATE(values<std::pair<const char*, absl::Duration>>(
      {{"later", kEnough}, {"crash", kEnough}, {"hang", absl::Milliseconds(300)}}));
  INFO(fault.first);
  EvilNetwork evil;
  evil.Configure({{{"ipMasq", true}, {"DEL", fault.first}}});
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(kEnough)).ok());
  PodNetworkRequest request = PodRequest();
  request.netns_path = "";
  CHECK_FALSE(network->Detach(request, In(fault.second)).ok());
  const auto calls = evil.Calls();
  REQUIRE(calls.size() == 2);
  CHECK(calls[1]["env"]["CNI_NETNS"] != "");
  CHECK(evil.CacheFiles().size() == 1);
}

TEST_CASE("a DEL that will never succeed holds up the pod's end only until patience is over") {
  const char* const code = GENERATE("code:1", "code:2", "code:4", "code:6", "code:7");
  INFO(code);
  EvilNetwork evil;
  evil.options.patience = absl::Milliseconds(300);
  evil.Configure({{{"tag", "a"}}, {{"tag", "b"}, {"DEL", code}}, {{"tag", "c"}}});
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(kEnough)).ok());
  const base::Deadline not_before = In(evil.options.patience);
  CHECK(Contains(Text(network->Detach(PodRequest(), In(kEnough))), "cni del: plugin cni_evil: "));
  CHECK(evil.CacheFiles().size() == 1);
  const base::Deadline fail = In(absl::Seconds(10));
  while (!network->Detach(PodRequest(), In(kEnough)).ok() && !fail.Passed()) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  CHECK_FALSE(fail.Passed());
  CHECK(not_before.Passed());
  CHECK(evil.CacheFiles().empty());
  // `a` keeps the address while something of `b` may lead to it.
  CHECK_FALSE(Contains(evil.CallNames(), "DEL:a"));
}

TEST_CASE("a plugin that is gone is waited for, unless the network was replaced") {
  EvilNetwork evil;
  evil.options.patience = absl::ZeroDuration();
  evil.Configure(kOnePlugin);
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(kEnough)).ok());
  REQUIRE(unlink(base::JoinPath(evil.options.plugin_dirs[0], "cni_evil").c_str()) == 0);
  CHECK(Contains(Text(network->Detach(PodRequest(), In(kEnough))), "cni_evil: not found in "));
  REQUIRE(base::RemoveTree(evil.options.conf_dir + "/10-evil.conflist").ok());
  CHECK_FALSE(network->Detach(PodRequest(), In(kEnough)).ok());
  CHECK(evil.CacheFiles().size() == 1);
  (void)evil.dir.Write("net.d/10-new.conf", R"({"cniVersion":"1.0.0","name":"n","type":"new"})");
  CHECK(network->Detach(PodRequest(), In(kEnough)).ok());
  CHECK(evil.CacheFiles().empty());
}

TEST_CASE("a DEL that leaves the lease is not done") {
  EvilNetwork evil;
  const std::string leases = base::JoinPath(evil.dir.path, "leases");
  REQUIRE(base::MakeDirs(leases + "/evilnet", 0755).ok());
  evil.Configure({{{"ipam", {{"type", "host-local"}, {"dataDir", leases}}}}});
  const auto network = NewNetwork(evil.options);
  const PodNetworkRequest request = PodRequest();
  REQUIRE(network->Attach(request, In(kEnough)).ok());
  const std::string lease = absl::StrCat("leases/evilnet/10.9.8.7");
  (void)evil.dir.Write(lease, absl::StrCat(request.sandbox_id, "\r\neth0"));
  const absl::Status left = network->Detach(request, In(kEnough));
  CHECK(absl::IsUnavailable(left));
  CHECK(Contains(Text(left), "the lease of 10.9.8.7 is still in "));
  CHECK(evil.CacheFiles().size() == 1);
  evil.options.patience = absl::ZeroDuration();
  SECTION("patience is over") {
    CHECK(NewNetwork(evil.options)->Detach(request, In(kEnough)).ok());
    CHECK(evil.CacheFiles().empty());
    return;
  }
  // Another pod has the address by now.
  (void)evil.dir.Write(lease, std::string(64, 'e') + "\r\neth0");
  CHECK(network->Detach(request, In(kEnough)).ok());
  CHECK(evil.CacheFiles().empty());
}

TEST_CASE("when the namespace is gone or replaced, DEL has one only for what masquerades") {
  EvilNetwork evil;
  evil.Configure({{{"ipMasq", true}}, {{"tag", "b"}}});
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(kEnough)).ok());
  PodNetworkRequest request = PodRequest();
  SECTION("no path") { request.netns_path = ""; }
  SECTION("missing") { request.netns_path = base::JoinPath(evil.dir.path, "missing"); }
  SECTION("plain file") { request.netns_path = evil.dir.Write("plain", ""); }
  CHECK(network->Detach(request, In(kEnough)).ok());
  const auto calls = evil.Calls();
  REQUIRE(calls.size() == 4);
  CHECK(calls[2]["env"]["CNI_NETNS"] == "");
  CHECK(calls[2]["conf"].contains("prevResult"));
  CHECK(Contains(calls[3]["env"]["CNI_NETNS"], absl::StrCat("/proc/", getpid(), "/fd/")));
  CHECK(calls[3]["conf"].contains("prevResult"));
}

TEST_CASE("a plugin that fails with a namespace in the place of the pod's gets none") {
  EvilNetwork evil;
  evil.Configure({{{"ipMasq", true}, {"DEL", "fail:1"}}});
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(kEnough)).ok());
  PodNetworkRequest request = PodRequest();
  request.netns_path = "";
  CHECK(network->Detach(request, In(kEnough)).ok());
  const auto calls = evil.Calls();
  REQUIRE(calls.size() == 3);
  CHECK(calls[1]["env"]["CNI_NETNS"] != "");
  CHECK(calls[2]["env"]["CNI_NETNS"] == "");
}

TEST_CASE("a damaged cache entry leads to DEL with the configured network, and is removed") {
  EvilNetwork evil;
  evil.Configure({{{"tag", "a"}}});
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(kEnough)).ok());
  (void)evil.dir.Write(base::JoinPath("cache/results", evil.CacheFiles()[0]), "{");
  CHECK(network->Detach(PodRequest(), In(kEnough)).ok());
  CHECK(evil.CallNames() == "ADD:a DEL:a");
  CHECK(evil.CacheFiles().empty());
}

TEST_CASE("Attach refuses a bad request before any plugin runs") {
  EvilNetwork evil;
  const auto network = NewNetwork(evil.options);
  CHECK(network->Attach(PodRequest(), In(kEnough)).status().code() ==
        absl::StatusCode::kUnavailable);
  evil.Configure(kOnePlugin);
  PodNetworkRequest request = PodRequest();
  request.annotations["kubernetes.io/ingress-bandwidth"] = "lots";
  CHECK(network->Attach(request, In(kEnough)).status().code() ==
        absl::StatusCode::kInvalidArgument);
  request = PodRequest();
  request.netns_path = evil.dir.Write("plain", "");
  CHECK(network->Attach(request, In(kEnough)).status().code() ==
        absl::StatusCode::kFailedPrecondition);
  CHECK(evil.Calls().empty());
  CHECK(evil.CacheFiles().empty());
}

TEST_CASE("a plugin that is not installed is named with the directories searched") {
  EvilNetwork evil;
  evil.Configure(kOnePlugin);
  REQUIRE(unlink(base::JoinPath(evil.options.plugin_dirs[0], "cni_evil").c_str()) == 0);
  const auto network = NewNetwork(evil.options);
  const auto attached = network->Attach(PodRequest(), In(kEnough));
  CHECK(Text(attached.status()) ==
        absl::StrCat("cni add: plugin cni_evil: not found in ", evil.options.plugin_dirs[0]));
  CHECK(evil.CacheFiles().empty());
  CHECK(network->Detach(PodRequest(), In(kEnough)).ok());  // no plugin ran
}

TEST_CASE("a hanging plugin of one pod delays no other pod") {
  EvilNetwork evil;
  evil.Configure({{{"ADD", "hang"}}});
  const auto network = NewNetwork(evil.options);
  absl::Status hung;
  std::thread other([&] {
    PodNetworkRequest request = PodRequest();
    request.sandbox_id = std::string(64, 'b');
    hung = network->Attach(request, In(absl::Seconds(2))).status();
  });
  while (evil.Calls().empty()) absl::SleepFor(absl::Milliseconds(5));
  evil.Configure(kOnePlugin);
  const absl::Time start = absl::Now();
  CHECK(network->Attach(PodRequest(), In(kEnough)).ok());
  CHECK(absl::Now() - start < absl::Seconds(1));
  other.join();
  CHECK(hung.code() == absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("State follows the directory and names invalid files") {
  EvilNetwork evil;
  const auto network = NewNetwork(evil.options);
  CHECK(Text(network->State().ready) ==
        absl::StrCat("cni plugin not initialized: no network config found in ",
                     evil.options.conf_dir));
  evil.Configure(kOnePlugin);
  (void)evil.dir.Write("net.d/00-bad.conf", "x");
  const NetworkState state = network->State();
  CHECK(state.ready.ok());
  CHECK(state.name == "evilnet");
  CHECK(state.path == base::JoinPath(evil.options.conf_dir, "10-evil.conflist"));
  REQUIRE(state.skipped.size() == 1);
  CHECK(Contains(state.skipped[0], "00-bad.conf: network config"));
  REQUIRE(base::RemoveTree(evil.options.conf_dir).ok());
  CHECK_FALSE(network->State().ready.ok());
  REQUIRE(base::MakeDirs(evil.options.conf_dir, 0755).ok());
  evil.Configure(kOnePlugin);
  CHECK(network->State().ready.ok());
}

TEST_CASE("STATUS runs from version 1.1.0 on, and once for many calls") {
  EvilNetwork evil;
  const auto network = NewNetwork(evil.options);
  evil.Configure({{{"tag", "a"}}}, "1.0.0");
  CHECK(network->State().ready.ok());
  CHECK(evil.Calls().empty());
  evil.Configure({{{"tag", "a"}}, {{"tag", "b"}}}, "1.1.0");
  CHECK(Judged(*network).ok());
  for (int i = 0; i < 5; ++i) CHECK(network->State().ready.ok());
  CHECK(evil.CallNames() == "STATUS:a STATUS:b");
  CHECK_FALSE(evil.Calls()[0]["env"].contains("CNI_CONTAINERID"));
  evil.Configure({{{"tag", "c"}, {"STATUS", "error1"}}}, "1.1.0");  // another network: a new STATUS
  CHECK(Text(Judged(*network)) == "cni status: plugin cni_evil: evil thing: happened (code 7)");
}

TEST_CASE("GC names every attachment of the network, also of other users and lost from the cache") {
  EvilNetwork evil;
  evil.Configure({{{"tag", "a"}}, {{"tag", "b"}, {"GC", "error1"}}, {{"tag", "c"}}}, "1.1.0");
  const auto network = NewNetwork(evil.options);
  REQUIRE(network->Attach(PodRequest(), In(absl::Seconds(10))).ok());
  const auto write = [&](const std::string& name, const std::string& list) {
    (void)evil.dir.Write("cache/results/" + name, base::Json{{"kind", "cniCacheV1"},
                                                             {"networkName", list},
                                                             {"containerId", name},
                                                             {"ifName", "net1"}}
                                                      .dump());
  };
  write("other", "evilnet");
  write("elsewhere", "another");
  const absl::Status collected =
      network->CollectGarbage({std::string(64, 'a'), "lost"}, In(absl::Seconds(10)));
  CHECK(Contains(Text(collected), "cni gc: plugin cni_evil: "));
  CHECK(evil.CallNames() == "ADD:a ADD:b ADD:c GC:a GC:b GC:c");
  const base::Json call = evil.Calls().back();
  CHECK(call["conf"]["cni.dev/valid-attachments"] ==
        base::Json::parse("[{\"containerID\": \"" + std::string(64, 'a') +
                          "\", \"ifname\": \"eth0\"},"
                          "{\"containerID\": \"other\", \"ifname\": \"net1\"},"
                          "{\"containerID\": \"lost\", \"ifname\": \"eth0\"}]"));
  CHECK_FALSE(call["env"].contains("CNI_CONTAINERID"));
}

TEST_CASE("GC does not wait for an ADD that hangs, nor hold up the pods after it") {
  EvilNetwork evil;
  evil.Configure({{{"ADD", "hang"}}}, "1.1.0");
  const auto network = NewNetwork(evil.options);
  std::thread hanging([&] { (void)network->Attach(PodRequest(), In(absl::Seconds(3))); });
  for (int i = 0; i < 2000 && evil.Calls().empty(); ++i) absl::SleepFor(absl::Milliseconds(1));
  const base::Deadline soon = In(absl::Seconds(2));
  CHECK(absl::IsUnavailable(network->CollectGarbage({}, In(absl::Seconds(10)))));
  CHECK_FALSE(soon.Passed());
  hanging.join();
  CHECK(evil.CallNames() == "ADD:");
  CHECK(network->CollectGarbage({}, In(absl::Seconds(10))).ok());
}

TEST_CASE("no GC without the verb, with disableGC, and beside an entry that cannot be read") {
  EvilNetwork evil;
  const auto network = NewNetwork(evil.options);
  evil.Configure(kOnePlugin, "1.0.0");
  CHECK(network->CollectGarbage({}, In(absl::Seconds(10))).ok());
  evil.Configure(kOnePlugin, "1.1.0");
  (void)evil.dir.Write("net.d/00-first.conflist",
                       R"({"cniVersion": "1.1.0", "name": "x", "disableGC": true,
                           "plugins": [{"type": "cni_evil"}]})");
  CHECK(network->CollectGarbage({}, In(absl::Seconds(10))).ok());
  REQUIRE(unlink((evil.options.conf_dir + "/00-first.conflist").c_str()) == 0);
  REQUIRE(base::MakeDirs(evil.options.cache_dir + "/results", 0700).ok());
  (void)evil.dir.Write("cache/results/damaged", "{");
  CHECK_FALSE(network->CollectGarbage({}, In(absl::Seconds(10))).ok());
  CHECK(evil.Calls().empty());
}

TEST_CASE("STATUS that got no thread at start is run later") {
  EvilNetwork evil;
  evil.Configure({{{"tag", "a"}}}, "1.1.0");
  std::unique_ptr<Network> network;
  {
    const crisp::test::NoThreads refused;
    network = NewNetwork(evil.options);
    CHECK(absl::IsResourceExhausted(network->State().ready));
  }
  CHECK(Judged(*network).ok());
  CHECK(evil.CallNames() == "STATUS:a");
}

TEST_CASE("work in a network namespace that gets no thread is an error and does not run") {
  const crisp::test::NoThreads refused;
  const absl::Status status = RunInNetns(-1, [] { return absl::InternalError("it ran"); });
  CHECK(absl::IsResourceExhausted(status));
}
