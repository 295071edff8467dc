// Host ports by the engine beside the executed plugin portmap: a packet has the same fate, and what
// the engine has made goes with the pod. As native_network_test.cc. Needs root.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "integration/cni_host.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

constexpr uint16_t kEveryTcp = 18080;
constexpr uint16_t kOneTcp = 18081;    // of 192.0.2.1 only
constexpr uint16_t kLocalTcp = 18082;  // of 127.0.0.1 only
constexpr uint16_t kV4Tcp = 18083;     // of 0.0.0.0
constexpr uint16_t kV6Tcp = 18084;     // of "::"
constexpr uint16_t kOneV6Tcp = 18085;  // of fd98::1 only
constexpr uint16_t kEveryUdp = 18053;

std::string PortsConf(const std::string& portmap) {
  return absl::StrCat(R"({"cniVersion": "1.0.0", "name": "crt", "plugins": [
      {"type": "bridge", "bridge": "crt0", "isGateway": true, "ipMasq": true,
       "hairpinMode": true,
       "ipam": {"type": "host-local", "dataDir": "$DIR/leases",
                "ranges": [[{"subnet": "10.199.0.0/24"}], [{"subnet": "fd99::/64"}]],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}},
      {"type": "portmap", "capabilities": {"portMappings": true})",
                      portmap, "}]}");
}

const std::vector<PortMapping> kMappings = {
    {kEveryTcp, kPort, Protocol::kTcp, ""},          {kOneTcp, kPort, Protocol::kTcp, "192.0.2.1"},
    {kLocalTcp, kPort, Protocol::kTcp, "127.0.0.1"}, {kV4Tcp, kPort, Protocol::kTcp, "0.0.0.0"},
    {kV6Tcp, kPort, Protocol::kTcp, "::"},           {kOneV6Tcp, kPort, Protocol::kTcp, "fd98::1"},
    {kEveryUdp, kPort, Protocol::kUdp, ""}};

// A socket in the namespace (-1: the host) of either family, with a limit for everything it does:
// packets that are dropped must not hold up the test.
base::UniqueFd Socket(int netns, int type) {
  base::UniqueFd fd;
  const auto open = [&]() -> absl::Status {
    fd.reset(socket(AF_INET6, type | SOCK_CLOEXEC, 0));
    return fd.valid() ? absl::OkStatus() : base::Errno("socket", "");
  };
  REQUIRE((netns < 0 ? open() : RunInNetns(netns, open)).ok());
  const int both = 0;
  setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof(both));
  const timeval limit = {0, 500'000};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return fd;
}

sockaddr_in6 AddressOf(const std::string& ip, uint16_t port) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  const bool v6 = absl::StrContains(ip, ":");
  REQUIRE(inet_pton(AF_INET6, (v6 ? ip : absl::StrCat("::ffff:", ip)).c_str(),
                    &address.sin6_addr) == 1);
  return address;
}

std::string TextOf(const sockaddr_in6& address) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
  return absl::StrReplaceAll(text, {{"::ffff:", ""}});
}

// What a pod serves at kPort of TCP and UDP.
struct Service {
  base::UniqueFd tcp;
  base::UniqueFd udp;

  explicit Service(const Machine& pod)
      : tcp(Socket(pod.netns.get(), SOCK_STREAM)), udp(Socket(pod.netns.get(), SOCK_DGRAM)) {
    const sockaddr_in6 any = AddressOf("::", kPort);
    for (const base::UniqueFd* fd : {&tcp, &udp}) {
      REQUIRE(bind(fd->get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) == 0);
    }
    REQUIRE(listen(tcp.get(), 16) == 0);
  }
};

// The address that the service sees of one who connects from the namespace, or why it sees none.
std::string SeenTcp(int netns, const std::string& ip, uint16_t port, const Service& service) {
  const base::UniqueFd fd = Socket(netns, SOCK_STREAM);
  const sockaddr_in6 address = AddressOf(ip, port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return base::ErrnoText(errno);
  }
  sockaddr_in6 peer = {};
  socklen_t size = sizeof(peer);
  const base::UniqueFd accepted(
      accept(service.tcp.get(), reinterpret_cast<sockaddr*>(&peer), &size));
  return accepted.valid() ? TextOf(peer) : base::ErrnoText(errno);
}

// The same of UDP. The answer has to come back, too.
std::string SeenUdp(const base::UniqueFd& fd, const std::string& ip, uint16_t port,
                    const Service& service) {
  const sockaddr_in6 address = AddressOf(ip, port);
  if (sendto(fd.get(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
      1) {
    return base::ErrnoText(errno);
  }
  char byte = 0;
  sockaddr_in6 peer = {};
  socklen_t size = sizeof(peer);
  if (recvfrom(service.udp.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &size) != 1) {
    return base::ErrnoText(errno);
  }
  if (sendto(service.udp.get(), "!", 1, 0, reinterpret_cast<const sockaddr*>(&peer), size) != 1 ||
      recv(fd.get(), &byte, 1, 0) != 1) {
    return absl::StrCat(TextOf(peer), " without an answer");
  }
  return TextOf(peer);
}

// So that addresses of IPv6 can be used at once.
void SkipDad(int netns) {
  const char* const command =
      "for i in all default; do echo 0 >/proc/sys/net/ipv6/conf/$i/accept_dad; done";
  CHECK((netns < 0 ? Output(command) : OutputIn(netns, command)).empty());
}

struct PortHost : Host {
  explicit PortHost(const std::string& portmap) : Host(PortsConf(portmap)) { SkipDad(-1); }
};

struct Pod : Machine {
  Pod(const Host& host, const std::string& name, std::vector<PortMapping> ports = {})
      : Machine(host.dir, name) {
    SkipDad(netns.get());
    request.port_mappings = std::move(ports);
  }
};

// A machine beside the host, which has 192.0.2.1 and fd98::1 on that side.
void Connect(Machine& outside) {
  CHECK(Output(absl::StrCat("ip link add up0 type veth peer name up1 netns ",
                            outside.request.netns_path,
                            "; ip addr add 192.0.2.1/24 dev up0; ip link set up0 up; "
                            "ip addr add fd98::1/64 dev up0 nodad"))
            .empty());
  CHECK(OutputIn(outside.netns.get(),
                 "ip addr add 192.0.2.2/24 dev up1; ip link set up1 up; "
                 "ip addr add fd98::2/64 dev up1 nodad; ip -6 route add fd99::/64 via fd98::1; "
                 "ip route add 10.199.0.0/24 via 192.0.2.1")
            .empty());
}

bool AnythingNames(const Machine& pod) {
  return absl::StrContains(Output("iptables-save; ip6tables-save; nft list ruleset"),
                           pod.request.sandbox_id);
}

std::string Tables() { return Output("nft list tables | grep crisp"); }

// Everywhere a packet may come from, to every port, at every address of the host.
std::string Fates(By by, const std::string& portmap) {
  PortHost host(portmap);
  Machine outside(host.dir, "outside");
  Connect(outside);
  const Pod sibling(host, "a1");
  const Pod pod(host, "a2", kMappings);
  REQUIRE(host.Add(by, sibling).ok());
  REQUIRE(host.Add(by, pod).ok());
  CHECK(host.Executed() ==
        (by == By::kEngine ? "" : "bridge ADD;portmap ADD;bridge ADD;portmap ADD;"));
  const Service service(pod);
  std::string fates =
      absl::StrCat("route_localnet ", Output("cat /proc/sys/net/ipv4/conf/crt0/route_localnet"));
  for (const auto& [name, netns] : {std::pair<const char*, int>{"host", -1},
                                    {"outside", outside.netns.get()},
                                    {"sibling", sibling.netns.get()},
                                    {"itself", pod.netns.get()}}) {
    for (const char* ip : {"192.0.2.1", "10.199.0.1", "127.0.0.1", "fd98::1", "fd99::1", "::1"}) {
      const bool local = absl::StartsWith(ip, "127.") || std::string(ip) == "::1";
      if (local && netns >= 0) continue;  // that is not the host
      for (const uint16_t port : {kEveryTcp, kOneTcp, kLocalTcp, kV4Tcp, kV6Tcp, kOneV6Tcp}) {
        absl::StrAppend(&fates, name, " tcp ", ip, " ", port, ": ",
                        SeenTcp(netns, ip, port, service), "\n");
      }
      absl::StrAppend(&fates, name, " udp ", ip, ": ",
                      SeenUdp(Socket(netns, SOCK_DGRAM), ip, kEveryUdp, service), "\n");
    }
  }
  CHECK(host.Del(by, pod).ok());
  CHECK_FALSE(AnythingNames(pod));
  // Not mapped any more.
  absl::StrAppend(
      &fates, "after DEL: ", SeenTcp(outside.netns.get(), "192.0.2.1", kEveryTcp, service), "\n");
  CHECK(host.Del(by, sibling).ok());
  host.Stop();
  CHECK(Tables().empty());
  return fates;
}

}  // namespace

TEST_CASE("packets to host ports have the fate that the plugin gives them") {
  for (const char* portmap : {"", R"(, "snat": false)"}) {
    INFO(portmap);
    const std::string by_engine = Fates(By::kEngine, portmap);
    CHECK(by_engine == Fates(By::kPlugins, portmap));
    // That the two agree is not enough: the ports must work.
    CHECK(absl::StrContains(by_engine, "outside tcp 192.0.2.1 18080: 192.0.2.2\n"));
    CHECK(absl::StrContains(by_engine, "outside tcp fd98::1 18085: fd98::2\n"));
    CHECK(absl::StrContains(by_engine, "outside udp 192.0.2.1: 192.0.2.2\n"));
    CHECK(absl::StrContains(by_engine, "outside tcp 10.199.0.1 18081: connection refused"));
  }
}

TEST_CASE("a host port is reached from the host, from outside and by the pod itself") {
  PortHost host("");
  Machine outside(host.dir, "outside");
  Connect(outside);
  const Pod pod(host, "a1", kMappings);
  const auto added = host.Add(By::kEngine, pod);
  REQUIRE(added.ok());
  CHECK(added->timings.size() == 2);
  CHECK(host.Executed().empty());
  const Service service(pod);
  CHECK(SeenTcp(-1, "192.0.2.1", kEveryTcp, service) == "192.0.2.1");
  CHECK(SeenTcp(-1, "127.0.0.1", kEveryTcp, service) == "10.199.0.1");  // masqueraded
  CHECK(SeenTcp(-1, "127.0.0.1", kLocalTcp, service) == "10.199.0.1");
  CHECK(SeenTcp(outside.netns.get(), "192.0.2.1", kEveryTcp, service) == "192.0.2.2");
  CHECK(SeenTcp(outside.netns.get(), "192.0.2.1", kOneTcp, service) == "192.0.2.2");
  CHECK(SeenTcp(outside.netns.get(), "fd98::1", kV6Tcp, service) == "fd98::2");
  CHECK(SeenTcp(outside.netns.get(), "192.0.2.1", kV6Tcp, service) ==
        "connection refused (ECONNREFUSED)");
  CHECK(SeenTcp(pod.netns.get(), "192.0.2.1", kEveryTcp, service) == "10.199.0.1");  // hairpin
  CHECK(SeenTcp(pod.netns.get(), "fd98::1", kEveryTcp, service) == "fd99::1");
  CHECK(SeenUdp(Socket(pod.netns.get(), SOCK_DGRAM), "192.0.2.1", kEveryUdp, service) ==
        "10.199.0.1");
  CHECK(SeenUdp(Socket(outside.netns.get(), SOCK_DGRAM), "fd98::1", kEveryUdp, service) ==
        "fd98::2");
  CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
  CHECK(host.Executed().empty());
  CHECK_FALSE(AnythingNames(pod));
}

TEST_CASE("a UDP flow from before the pod is led to the pod") {
  for (const By by : {By::kPlugins, By::kEngine}) {
    PortHost host("");
    Machine outside(host.dir, "outside");
    Connect(outside);
    const Pod first(host, "a1");
    REQUIRE(host.Add(by, first).ok());  // with its table: the kernel tracks flows from here on
    const base::UniqueFd client = Socket(outside.netns.get(), SOCK_DGRAM);
    const sockaddr_in6 to = AddressOf("192.0.2.1", kEveryUdp);
    REQUIRE(sendto(client.get(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) ==
            1);
    const Pod pod(host, "a2", {{kEveryUdp, kPort, Protocol::kUdp, ""}});
    REQUIRE(host.Add(by, pod).ok());
    const Service service(pod);
    CHECK(SeenUdp(client, "192.0.2.1", kEveryUdp, service) == "192.0.2.2");
    CHECK(host.Del(by, pod) == absl::OkStatus());
    CHECK(host.Del(by, first) == absl::OkStatus());
  }
}

TEST_CASE("DEL removes the host ports of whoever made them, without namespace, after a restart") {
  for (const By adds : {By::kPlugins, By::kEngine}) {
    for (const By deletes : {By::kPlugins, By::kEngine}) {
      for (const bool gone : {false, true}) {
        INFO(static_cast<int>(adds) << static_cast<int>(deletes) << gone);
        PortHost host("");
        Pod pod(host, "a1", kMappings);
        REQUIRE(host.Add(adds, pod).ok());
        CHECK(AnythingNames(pod));
        host.Stop();
        for (const By by : {By::kPlugins, By::kEngine}) {
          host.options.native = by == By::kEngine;
          host.networks[static_cast<int>(by)] = NewNetwork(host.options);
        }
        if (!gone) {
          const Service service(pod);
          CHECK(SeenTcp(-1, "127.0.0.1", kEveryTcp, service) == "10.199.0.1");
        } else {
          pod.Vanish();
        }
        (void)host.Executed();
        CHECK(host.Del(deletes, pod) == absl::OkStatus());
        // The plugin knows nothing of what the engine has made, and is not asked.
        CHECK(absl::StrContains(host.Executed(), "portmap") == (adds == By::kPlugins));
        CHECK_FALSE(AnythingNames(pod));
        CHECK(host.Leases().empty());
        CHECK(host.Del(deletes, pod) == absl::OkStatus());  // again
        host.Stop();
        CHECK(Tables().empty());
      }
    }
  }
}

TEST_CASE("an ADD with host ports that is killed at any moment is undone by DEL") {
  PortHost host("");
  for (int i = 0; i < 40; ++i) {
    INFO(i);
    Pod pod(host, absl::StrCat("c", i), kMappings);
    const pid_t child = fork();
    if (child == 0) {
      (void)NewNetwork(host.options)->Attach(pod.request, Soon());
      _exit(0);
    }
    absl::SleepFor(absl::Microseconds(500 * i));  // the moment is what is tried
    REQUIRE(kill(child, SIGKILL) == 0);
    REQUIRE(waitpid(child, nullptr, 0) == child);
    CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
    CHECK_FALSE(AnythingNames(pod));
    CHECK(host.Leases().empty());
    pod.Vanish();
  }
  host.Stop();
  CHECK(Tables().empty());
}

TEST_CASE(
    "a host port that another pod has is the plugin's, and the first one's again afterwards") {
  PortHost host("");
  const Pod first(host, "a1", {{kEveryTcp, kPort, Protocol::kTcp, ""}});
  const Pod second(host, "a2", {{kEveryTcp, kPort, Protocol::kTcp, ""}});
  REQUIRE(host.Add(By::kEngine, first).ok());
  CHECK(host.Executed().empty());
  REQUIRE(host.Add(By::kEngine, second).ok());
  CHECK(host.Executed() == "portmap ADD;");
  const Service of_first(first);
  const Service of_second(second);
  CHECK(SeenTcp(-1, "10.199.0.1", kEveryTcp, of_second) == "10.199.0.1");
  CHECK(host.Del(By::kEngine, second) == absl::OkStatus());
  CHECK(host.Executed() == "portmap DEL;");
  CHECK_FALSE(AnythingNames(second));
  CHECK(SeenTcp(-1, "10.199.0.1", kEveryTcp, of_first) == "10.199.0.1");
  CHECK(host.Del(By::kEngine, first) == absl::OkStatus());
  CHECK_FALSE(AnythingNames(first));
}

TEST_CASE("DEL removes host ports also if a rule of somebody else leads to their chain") {
  PortHost host("");
  const Pod pod(host, "a1", {{kEveryTcp, kPort, Protocol::kTcp, ""}});
  REQUIRE(host.Add(By::kEngine, pod).ok());
  CHECK(AnythingNames(pod));
  // The kernel does not delete a chain that a rule leads to, nor then anything of the transaction.
  CHECK(Output("nft add chain ip crisp-ports others && "
               "nft add rule ip crisp-ports others jump network-10.199.0.0-24 && echo added") ==
        "added\n");
  CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
  CHECK_FALSE(AnythingNames(pod));
  CHECK(absl::StrContains(Output("nft list chains"), "network-10.199.0.0-24"));  // it is left
  host.Stop();
  CHECK(Tables().empty());
}

TEST_CASE("an option of portmap that the engine does not have is executed") {
  PortHost host(R"(, "markMasqBit": 14)");
  const Pod pod(host, "a1", {{kEveryTcp, kPort, Protocol::kTcp, ""}});
  REQUIRE(host.Add(By::kEngine, pod).ok());
  CHECK(host.Executed() == "portmap ADD;");
  const Service service(pod);
  CHECK(SeenTcp(-1, "127.0.0.1", kEveryTcp, service) == "10.199.0.1");
  CHECK(host.Del(By::kEngine, pod) == absl::OkStatus());
  CHECK(host.Executed() == "portmap DEL;");
  CHECK_FALSE(AnythingNames(pod));
}
