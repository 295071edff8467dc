// The engine inside crispd beside Debian's executed plugins (/usr/lib/cni): the same configuration
// leaves the same links, addresses, routes, sysctls, leases and result, a packet sees the same
// rules, and either undoes what the other has made. "The host" is a network namespace of the test:
// links and rules end with it, and the machine's network stays unchanged. Needs root.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <iostream>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cni/native/masquerade.h"
#include "cni/netns.h"
#include "integration/cni_host.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

constexpr uint16_t kHostPort = 18080;

// All that is to be the same, whoever has done the ADD. What differs between two ADDs of the same
// plugin is replaced: addresses of hardware, names of veths, numbers of links, timers.
std::string Facts(const Host& host, const Machine& pod) {
  std::string facts;
  const auto add = [&](const std::string& name, const std::string& text) {
    absl::StrAppend(&facts, "== ", name, "\n", text);
  };
  const auto sysctls = [](const std::string& link) {
    return absl::StrCat("for s in ipv6/conf/", link, "/accept_ra ipv6/conf/", link,
                        "/accept_dad ipv6/conf/", link, "/disable_ipv6 ipv4/conf/", link,
                        "/arp_notify; do echo $s $(cat /proc/sys/net/$s); done; ");
  };
  add("pod", OutputIn(pod.netns.get(), absl::StrCat("ip -o -d link; ip -o addr; ip route; "
                                                    "ip -6 route; ",
                                                    sysctls("eth0"), sysctls("lo"))));
  add("host", Output(absl::StrCat(
                  "ip -o -d link show crt0; ip -o addr | grep -E 'crt0|veth'; ip -o -d link "
                  "show master crt0; bridge -d -o link show; ",
                  sysctls("crt0"),
                  "for s in ipv4/ip_forward ipv6/conf/all/forwarding; do echo $s "
                  "$(cat /proc/sys/net/$s); done; "
                  "for v in /proc/sys/net/ipv6/conf/veth*; do echo veth $(cat "
                  "$v/accept_ra $v/accept_dad); done; ip route; ip -6 route")));
  add("leases", Output(absl::StrCat("cd ", host.dir,
                                    "/leases/crt && stat -c '%n %a %s' *; "
                                    "for f in *; do echo $f $(od -An -c $f); "
                                    "done")));
  const std::string cached = *base::ReadFile(
      absl::StrCat(host.dir, "/cache/results/crt-", pod.request.sandbox_id, "-eth0"));
  add("result", base::DumpJson(base::Json::parse(cached).at("result"), 1));
  facts = absl::StrReplaceAll(facts, {{host.dir, "DIR"}});
  for (const auto& [pattern, instead] :
       {std::pair<const char*, const char*>{"veth[0-9a-f]{8}", "VETH"},
        {"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC"},
        {"fe80::[0-9a-f:]+", "FE80"},
        {"8000\\.[0-9a-f:MAC]+", "BRIDGEID"},
        {"@if[0-9]+", "@if"},
        {" tentative", ""},  // these two change by themselves a moment later
        {"state [A-Z]+", "state"},
        {"(^|\n)[0-9]+: ", "$1"},
        {"link-netns(id)? [^ ]+", "netns"},
        {"_timer +[0-9.]+", "_timer"}}) {
    facts = std::regex_replace(facts, std::regex(pattern), instead);
  }
  return facts;
}

// Each sends to the other one, and to the gateway if there is one, so that all know each other's
// hardware addresses. Nobody listens.
void Talk(const Machine& a, const std::string& a_ip, const Machine& b, const std::string& b_ip,
          bool gateway) {
  CHECK(absl::StrContains(SeenFrom(a.netns.get(), b_ip, b), "ECONNREFUSED"));
  CHECK(absl::StrContains(SeenFrom(b.netns.get(), a_ip, a), "ECONNREFUSED"));
  if (!gateway) return;
  CHECK(absl::StrContains(SeenFrom(a.netns.get(), "10.199.0.1", a), "ECONNREFUSED"));
  CHECK(absl::StrContains(SeenFrom(b.netns.get(), "10.199.0.1", b), "ECONNREFUSED"));
}

// Neighbours of IPv4, without their states, which change by themselves, and what the bridge knows
// to be behind which port, without groups of multicast, which each end joins in its own time.
std::string Acquaintances(const Machine& a, const Machine& b) {
  constexpr char kNeighbours[] =
      "ip -4 neigh | grep lladdr | sed -E 's/ (REACHABLE|STALE|DELAY|PROBE)//' | sort; ";
  constexpr char kPorts[] =
      "bridge fdb show br crt0 | grep -vE '^(33:33|01:00:5e|01:80:c2)' | "
      "sed -E 's/([0-9a-f]{2}:){5}[0-9a-f]{2}/MAC/; s/veth[0-9a-f]{8}/VETH/' | sort";
  const std::string text = absl::StrCat("== neighbours\n", OutputIn(a.netns.get(), kNeighbours),
                                        OutputIn(b.netns.get(), kNeighbours), Output(kNeighbours),
                                        "== fdb\n", Output(kPorts));
  return std::regex_replace(text, std::regex("(?:[0-9a-f]{2}:){5}[0-9a-f]{2}"), "MAC");
}

// The kernel takes a namespace apart in its own time.
bool VethsGo() {
  const base::Deadline give_up = base::Deadline::In(absl::Seconds(15));
  while (CountVeths() != 0 && !give_up.Passed()) absl::SleepFor(absl::Milliseconds(20));
  return CountVeths() == 0;
}

bool RulesName(const Machine& pod) {
  return absl::StrContains(Output("iptables-save; ip6tables-save; nft list ruleset"),
                           pod.request.sandbox_id);
}

// A list of loopback and of bridge with these members.
std::string Conf(const std::string& version, const std::string& bridge, const std::string& ipam) {
  return absl::StrCat(
      R"({"cniVersion": ")", version, R"(", "name": "crt", "plugins": [{"type": "loopback"},
      {"type": "bridge", "bridge": "crt0", )",
      bridge, R"(, "ipam": {"type": "host-local", "dataDir": "$DIR/leases", )", ipam, "}}]}");
}

const std::string kPlain = Conf("1.0.0", R"("isGateway": true)",
                                R"("ranges": [[{"subnet": "10.199.0.0/24"}]],
                                   "routes": [{"dst": "0.0.0.0/0"}])");
const std::string kMasq =
    absl::StrReplaceAll(kPlain, {{R"("isGateway": true)", R"("isGateway": true, "ipMasq": true)"}});

std::string FactsOf(By by, const std::string& conf) {
  Host host(conf);
  const Machine first(host.dir, "a1");
  const Machine second(host.dir, "a2");
  const auto added = host.Add(by, first);
  const auto other = host.Add(by, second);
  REQUIRE((added.ok() && other.ok()));
  CHECK(host.Executed() == (by == By::kEngine ? ""
                                              : "loopback ADD;bridge ADD;"
                                                "loopback ADD;bridge ADD;"));
  std::string facts = Facts(host, first) + Facts(host, second);
  Talk(first, added->ips[0], second, other->ips[0], absl::StrContains(conf, "ateway\": true"));
  const std::string acquaintances = Acquaintances(first, second);
  CHECK(absl::StrContains(acquaintances, added->ips[0] + " dev eth0 lladdr MAC"));
  CHECK(absl::StrContains(acquaintances, "MAC dev VETH"));
  facts += acquaintances;
  CHECK(host.Del(by, first).ok());
  CHECK(host.Del(by, second).ok());
  CHECK(host.Leases().empty());
  // Where the next pod's search begins, after the one that is gone.
  absl::StrAppend(&facts, Output(absl::StrCat("cd ", host.dir, "/leases/crt && cat last*")));
  return facts;
}

}  // namespace

TEST_CASE("the engine leaves what the plugins leave") {
  const std::string confs[] = {
      kPlain,
      kMasq,
      Conf("0.4.0", R"("isDefaultGateway": true, "hairpinMode": true, "mtu": 1400,
                       "dns": {"nameservers": ["10.199.0.1"], "search": ["x.y"]})",
           R"("ranges": [[{"subnet": "10.199.0.0/24", "rangeStart": "10.199.0.20",
                           "rangeEnd": "10.199.0.21"}, {"subnet": "10.198.0.0/16"}],
                         [{"subnet": "fd99::/64", "gateway": "fd99::ff"}]],
              "routes": [{"dst": "10.50.0.0/16", "gw": "10.199.0.9"}, {"dst": "fd50::/16"}])"),
      Conf("0.3.1", R"("promiscMode": true)",
           R"("ranges": [[{"subnet": "10.199.0.0/24"}], [{"subnet": "10.197.0.0/24"}]])"),
      Conf("0.2.0", R"("isGateway": true, "forceAddress": true)",
           R"("subnet": "10.199.0.0/24", "routes": [{"dst": "0.0.0.0/0"}])"),
  };
  for (const std::string& conf : confs) {
    INFO(conf);
    CHECK(FactsOf(By::kEngine, conf) == FactsOf(By::kPlugins, conf));
  }
}

TEST_CASE("a pod gets the hardware address and the addresses that are asked for") {
  const std::string conf = Conf("1.0.0", R"("isGateway": true,
      "args": {"cni": {"mac": "02:11:22:33:44:55", "ips": ["10.199.0.77"]}})",
                                R"("ranges": [[{"subnet": "10.199.0.0/24"}]])");
  for (const By by : {By::kPlugins, By::kEngine}) {
    Host host(conf);
    const Machine pod(host.dir, "a1");
    const auto added = host.Add(by, pod);
    REQUIRE(added.ok());
    CHECK(added->ips == std::vector<std::string>{"10.199.0.77"});
    CHECK(absl::StrContains(OutputIn(pod.netns.get(), "ip link show eth0"), "02:11:22:33:44:55"));
    CHECK(host.Del(by, pod).ok());
  }
}

TEST_CASE("packets are masqueraded as by the plugin's rules") {
  for (const By by : {By::kPlugins, By::kEngine}) {
    Host host(kMasq);
    Machine outside(host.dir, "outside");
    CHECK(Output(absl::StrCat("ip link add up0 type veth peer name up1 netns ",
                              outside.request.netns_path,
                              "; ip addr add 192.0.2.1/24 dev up0; ip link set up0 up"))
              .empty());
    CHECK(OutputIn(outside.netns.get(), "ip addr add 192.0.2.2/24 dev up1; ip link set up1 up")
              .empty());
    outside.Serve();
    Machine a(host.dir, "a1");
    Machine b(host.dir, "a2");
    const auto added = host.Add(by, a);
    const auto other = host.Add(by, b);
    REQUIRE((added.ok() && other.ok()));
    b.Serve();
    CHECK(SeenFrom(a.netns.get(), "192.0.2.2", outside) == "192.0.2.1");
    CHECK(SeenFrom(a.netns.get(), other->ips[0], b) == added->ips[0]);
    CHECK(SeenFrom(-1, other->ips[0], b) == "10.199.0.1");
    CHECK(host.Del(by, a).ok());
    CHECK_FALSE(RulesName(a));
    CHECK(SeenFrom(b.netns.get(), "192.0.2.2", outside) == "192.0.2.1");
    CHECK(host.Del(by, b).ok());
    CHECK_FALSE(RulesName(b));
    host.Stop();
    CHECK(Output("nft list tables | grep crisp").empty());
  }
}

TEST_CASE("masquerading that was left behind for an address is replaced") {
  for (const char* left : {"10.199.0.2/24", "10.199.0.2/16"}) {
    Host host(kMasq);
    const Machine pod(host.dir, "a1");
    native::Masquerading earlier;
    REQUIRE(earlier.Add(*native::ParsePrefix(left), "another", Soon()).ok());
    REQUIRE(host.Add(By::kEngine, pod).ok());
    CHECK(RulesName(pod));
    CHECK_FALSE(absl::StrContains(Output("nft list ruleset"), "another"));
    CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
    CHECK(host.Executed().empty());
    host.Stop();
    CHECK(Output("nft list tables | grep crisp").empty());
  }
}

TEST_CASE("either undoes what the other has made") {
  for (const std::string& conf : {kPlain, kMasq}) {
    for (const By adds : {By::kPlugins, By::kEngine}) {
      for (const bool gone : {false, true}) {
        const By deletes = adds == By::kPlugins ? By::kEngine : By::kPlugins;
        INFO(conf << " " << static_cast<int>(adds) << gone);
        Host host(conf);
        Machine first(host.dir, "a1");
        Machine pod(host.dir, "a2");
        const auto kept = host.Add(deletes, first);
        const auto added = host.Add(adds, pod);
        REQUIRE((kept.ok() && added.ok()));
        CHECK(kept->ips == std::vector<std::string>{"10.199.0.2"});
        CHECK(added->ips == std::vector<std::string>{"10.199.0.3"});
        if (gone) pod.Vanish();
        CHECK(host.Del(deletes, pod) == absl::OkStatus());
        CHECK(host.Leases() == kept->ips);
        CHECK_FALSE(RulesName(pod));
        CHECK(host.Del(deletes, pod) == absl::OkStatus());  // again
        CHECK(host.Del(adds, first) == absl::OkStatus());
        CHECK(host.Leases().empty());
        CHECK_FALSE(RulesName(first));
        host.Stop();
        CHECK(Output("nft list tables | grep crisp").empty());
        first.Vanish();
        if (!gone) pod.Vanish();
        CHECK(VethsGo());
      }
    }
  }
}

TEST_CASE("an ADD that fails leaves nothing") {
  for (const auto& [broken, why] :
       {std::pair<std::string, const char*>{
            absl::StrReplaceAll(
                kMasq, {{R"({"dst": "0.0.0.0/0"})", R"({"dst": "0.0.0.0/0", "gw": "10.77.0.1"})"}}),
            "add route to 0.0.0.0/0"},
        {absl::StrReplaceAll(kMasq, {{"crt0", "lo"}}), "already exists but is not a bridge"}}) {
    INFO(broken);
    Host host(broken);
    const Machine pod(host.dir, "a1");
    const auto failed = host.networks[static_cast<int>(By::kEngine)]->Attach(pod.request, Soon());
    REQUIRE_FALSE(failed.ok());
    const std::string text(failed.status().message());
    INFO(text);
    CHECK(absl::StartsWith(text, "cni add: plugin bridge: "));
    CHECK(absl::StrContains(text, why));
    CHECK(host.Leases().empty());
    CHECK(CountVeths() == 0);
    CHECK_FALSE(RulesName(pod));
    CHECK_FALSE(absl::StrContains(OutputIn(pod.netns.get(), "ip link"), "eth0"));
    CHECK(host.Executed().empty());
    CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
    host.Stop();
    CHECK(Output("nft list tables | grep crisp").empty());
  }
}

TEST_CASE("an ADD that is killed at any moment is undone by DEL") {
  Host host(kMasq);
  for (int i = 0; i < 40; ++i) {
    INFO(i);
    Machine pod(host.dir, absl::StrCat("c", i));
    const pid_t child = fork();
    if (child == 0) {
      (void)NewNetwork(host.options)->Attach(pod.request, Soon());
      _exit(0);
    }
    absl::SleepFor(absl::Microseconds(250 * i));  // the moment is what is tried
    REQUIRE(kill(child, SIGKILL) == 0);
    REQUIRE(waitpid(child, nullptr, 0) == child);
    CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
    CHECK(host.Leases().empty());
    CHECK(Output(absl::StrCat("ls ", host.dir, "/leases/crt | grep crisp-")).empty());
    CHECK_FALSE(RulesName(pod));
    CHECK_FALSE(absl::StrContains(OutputIn(pod.netns.get(), "ip addr"), "10.199.0."));
    pod.Vanish();
  }
  CHECK(VethsGo());
  host.Stop();
  CHECK(Output("nft list tables | grep crisp").empty());
}

TEST_CASE("a list with a plugin that the engine does not have is done by both") {
  std::string conf =
      absl::StrReplaceAll(kMasq, {{"\"ipMasq\"", R"("hairpinMode": true, "ipMasq")"}});
  conf.replace(
      conf.rfind(']'), 1,
      R"(, {"type": "portmap", "capabilities": {"portMappings": true}, "markMasqBit": 13}])");
  Host host(conf);
  Machine pod(host.dir, "a1");
  pod.request.port_mappings = {{kHostPort, kPort, Protocol::kTcp, ""}};
  const auto added = host.Add(By::kEngine, pod);
  REQUIRE(added.ok());
  CHECK(added->timings.size() == 3);
  CHECK(host.Executed() == "portmap ADD;");
  pod.Serve();
  CHECK(SeenFrom(-1, "127.0.0.1", pod, kHostPort) == "10.199.0.1");
  CHECK(SeenFrom(pod.netns.get(), "10.199.0.1", pod, kHostPort) == "10.199.0.1");  // hairpin: snat
  CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
  CHECK(host.Executed() == "portmap DEL;");
  CHECK(host.Leases().empty());
}

TEST_CASE("a configuration with an option that the engine does not have is executed") {
  Host host(absl::StrReplaceAll(kPlain, {{R"("isGateway": true)", R"("vlan": 7)"}}));
  const Machine pod(host.dir, "a1");
  (void)host.networks[static_cast<int>(By::kEngine)]->Attach(pod.request, Soon());
  CHECK(host.Executed() == "bridge ADD;");
  (void)host.Del(By::kEngine, pod);
}

TEST_CASE("the host's end of a pod's link goes although something holds the namespace") {
  Host host(kPlain);
  const Machine pod(host.dir, "a1");
  REQUIRE(host.Add(By::kEngine, pod).ok());
  CHECK(CountVeths() == 1);
  CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
  CHECK_FALSE(absl::StrContains(OutputIn(pod.netns.get(), "ip addr"), "10.199.0.2"));
  CHECK(VethsGo());
}

TEST_CASE("a pod that makes its interface unreadable gives its address back all the same") {
  Host host(kPlain);
  const Machine pod(host.dir, "a1");
  REQUIRE(host.Add(By::kEngine, pod).ok());
  // With more names than an answer of the kernel has room for.
  OutputIn(pod.netns.get(),
           "name=$(printf 'x%.0s' $(seq 123)); for i in $(seq 1000 1494); do "
           "echo link property add dev eth0 altname $name$i; done | ip -batch -");
  CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
  CHECK(host.Leases().empty());
  CHECK(VethsGo());
}

TEST_CASE("links that DEL has left to the kernel go when crispd stops, all at once") {
  constexpr size_t kPods = 250;
  constexpr size_t kOneByOne = 25;
  Host host(kPlain);
  std::vector<std::unique_ptr<Machine>> pods;  // their namespaces are held
  for (size_t i = 0; i < kPods; ++i) {
    pods.push_back(std::make_unique<Machine>(host.dir, absl::StrCat("s", i)));
    REQUIRE(host.Add(By::kEngine, *pods.back()).ok());
  }
  const Machine stays(host.dir, "stays");
  REQUIRE(host.Add(By::kEngine, stays).ok());
  // What one removal costs on this machine, for the comparison below.
  const std::string each = absl::StrCat("for i in $(seq ", kOneByOne, "); do echo link ");
  Output(each + "add w$i type veth peer name v$i; done | ip -batch -");
  int64_t start = base::MonotonicNanos();
  Output(each + "del w$i; done | ip -batch -");
  const int64_t one_by_one = (base::MonotonicNanos() - start) / int64_t{kOneByOne};
  for (const auto& pod : pods) CHECK(host.Del(By::kEngine, *pod) == absl::OkStatus());
  start = base::MonotonicNanos();
  host.Stop();
  const int64_t at_once = (base::MonotonicNanos() - start) / int64_t{kPods};
  std::cout << "a link at stop: " << at_once / 1000 << " us, one by one: " << one_by_one / 1000
            << " us\n";
  CHECK(at_once < one_by_one);
  CHECK(CountVeths() == 1);
  CHECK(absl::StrContains(OutputIn(stays.netns.get(), "ip link"), "eth0"));
}

TEST_CASE("what a crispd that was killed had put off is done after the next start") {
  Host host(kMasq);
  host.Stop();
  const Machine pod(host.dir, "a1");
  const pid_t child = fork();
  if (child == 0) {
    const auto network = NewNetwork(host.options);
    const bool done =
        network->Attach(pod.request, Soon()).ok() && network->Detach(pod.request, Soon()).ok();
    _exit(done ? 0 : 1);  // as if it was killed: no destructor runs
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  CHECK(CountVeths() == 1);
  CHECK(absl::StrContains(Output("nft list tables"), "crisp"));
  auto next = NewNetwork(host.options);
  CHECK(VethsGo());
  next.reset();
  CHECK_FALSE(absl::StrContains(Output("nft list tables"), "crisp"));
}

TEST_CASE("what ADD and DEL cost, by the engine and by plugins") {
  constexpr int kPods = 15;
  int64_t of_plugins = 0;
  for (const By by : {By::kPlugins, By::kEngine}) {
    Host host(absl::StrReplaceAll(kMasq, {{R"({"type": "loopback"},)", ""}}));
    const Machine other(host.dir, "other");
    REQUIRE(host.Add(by, other).ok());
    std::vector<int64_t> add;
    std::vector<int64_t> del;
    for (int i = 0; i < kPods; ++i) {
      Machine pod(host.dir, absl::StrCat("b", i));
      const int64_t start = base::MonotonicNanos();
      REQUIRE(host.Add(by, pod).ok());
      const int64_t added = base::MonotonicNanos();
      REQUIRE(host.Del(by, pod).ok());
      del.push_back(base::MonotonicNanos() - added);
      add.push_back(added - start);
      pod.Vanish();
    }
    std::sort(add.begin(), add.end());
    std::sort(del.begin(), del.end());
    std::cout << (by == By::kEngine ? "engine " : "plugins ") << "ADD " << add[kPods / 2] / 1000
              << " us, DEL " << del[kPods / 2] / 1000 << " us (medians)\n";
    const int64_t both = add[kPods / 2] + del[kPods / 2];
    // The engine's reason to be.
    if (by == By::kEngine) CHECK(both < of_plugins);
    of_plugins = both;
  }
}
