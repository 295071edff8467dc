// The real plugins of Debian's containernetworking-plugins (/usr/lib/cni): bridge, host-local and
// portmap. "The host" is a network namespace of the test process: bridge, rules and sysctls end
// with it, and the machine's network stays unchanged. Needs root.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/deadline.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cni/netns.h"
#include "cni/network.h"
#include "linux/spawn.h"
#include "namespace_socket.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

constexpr char kConf[] = R"({
  "cniVersion": "1.0.0", "name": "crt",
  "plugins": [
    {"type": "bridge", "bridge": "crt-cni0", "isGateway": true, "ipMasq": true,
     "hairpinMode": true,
     "ipam": {"type": "host-local", "dataDir": "$DIR/leases",
              "ranges": [[{"subnet": "10.199.0.0/24"}]],
              "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]})";
constexpr uint16_t kPort = 8080;
constexpr uint16_t kHostPort = 18080;

base::Deadline Soon() { return base::Deadline::In(absl::Seconds(30)); }

absl::Status Connect(int netns_fd, const std::string& ip, uint16_t port) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd fd, SocketIn(netns_fd));
  const sockaddr_in to = Address(ip, port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    return base::Errno("connect", ip);
  }
  return absl::OkStatus();
}

// One pod: a pinned namespace with a server on kPort.
struct Pod {
  base::UniqueFd netns;
  base::UniqueFd server;
  PodNetworkRequest request;
  absl::StatusOr<PodNetwork> network = absl::UnknownError("not attached");

  Pod(const std::string& dir, char id) {
    std::thread([this] {
      if (unshare(CLONE_NEWNET) == 0) netns = *base::Open("/proc/thread-self/ns/net", O_RDONLY);
    }).join();
    request.sandbox_id = std::string(64, id);
    request.pod_name = absl::StrCat("pod-", std::string(1, id));
    request.pod_namespace = "default";
    request.pod_uid = "uid";
    request.netns_path = *PinNetns(netns.get(), absl::StrCat("cni-", std::string(1, id)),
                                   base::JoinPath(dir, "netns"));
  }
  void Serve() { server = *ServerIn(netns.get(), kPort); }
};

// The test's host; its destructor removes everything.
struct Host {
  std::string dir;
  std::unique_ptr<Network> network;

  Host() {
    REQUIRE(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0);
    REQUIRE(mount("", "/", nullptr, MS_SLAVE | MS_REC, nullptr) == 0);
    REQUIRE(SetLoopbackUp(base::Open("/proc/self/ns/net", O_RDONLY)->get()).ok());
    char name[] = "/tmp/crisp-cni-plugins-XXXXXX";
    dir = mkdtemp(name);
    Options options;
    options.conf_dir = base::JoinPath(dir, "net.d");
    options.plugin_dirs = {"/usr/lib/cni"};
    options.cache_dir = base::JoinPath(dir, "cache");
    std::string conf = kConf;
    conf.replace(conf.find("$DIR"), 4, dir);
    REQUIRE(base::MakeDirs(options.conf_dir, 0755).ok());
    REQUIRE(base::WriteFileAtomic(base::JoinPath(options.conf_dir, "1.conflist"), conf, 0644).ok());
    network = NewNetwork(options);
  }
  ~Host() {
    umount2(base::JoinPath(dir, "netns").c_str(), MNT_DETACH);
    (void)base::RemoveTree(dir);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  size_t Leases() const {
    size_t count = 0;
    const auto names = base::ListDir(base::JoinPath(dir, "leases/crt"));
    for (const std::string& name : *names) count += absl::StartsWith(name, "10.199.") ? 1 : 0;
    return count;
  }
};

size_t CountVeths() {
  size_t count = 0;
  const auto own = base::Open("/proc/self/ns/net", O_RDONLY);
  const auto interfaces = InterfacesIn(own->get());
  for (const InterfaceStats& interface : *interfaces) {
    count += absl::StartsWith(interface.name, "veth") ? 1 : 0;
  }
  return count;
}

std::string Rules() {
  return linux::Run({"/usr/sbin/iptables-save", {"iptables-save"}, {"PATH=/usr/sbin:/usr/bin"}}, "",
                    {})
      ->out;
}

}  // namespace

TEST_CASE("bridge, host-local and portmap: two pods from ADD to DEL") {
  Host host;
  REQUIRE(Judged(*host.network).ok());
  Pod a(host.dir, 'a');
  Pod b(host.dir, 'b');
  a.request.port_mappings = {{kHostPort, kPort, Protocol::kTcp, ""}};

  std::thread other([&] { b.network = host.network->Attach(b.request, Soon()); });
  a.network = host.network->Attach(a.request, Soon());
  other.join();
  INFO(a.network.status().message() << b.network.status().message());
  REQUIRE((a.network.ok() && b.network.ok()));
  const std::string ip_a = a.network->ips.at(0);
  const std::string ip_b = b.network->ips.at(0);
  CHECK(absl::StartsWith(ip_a, "10.199.0."));
  CHECK(absl::StartsWith(ip_b, "10.199.0."));
  CHECK(ip_a != ip_b);
  CHECK(a.network->timings.size() == 2);
  CHECK(host.Leases() == 2);
  CHECK(CountVeths() == 2);
  CHECK(InterfacesIn(a.netns.get())->size() == 2);  // lo and eth0

  a.Serve();
  b.Serve();
  CHECK(Connect(b.netns.get(), ip_a, kPort) == absl::OkStatus());
  CHECK(Connect(a.netns.get(), ip_b, kPort) == absl::OkStatus());
  CHECK(Connect(a.netns.get(), "127.0.0.1", kPort) == absl::OkStatus());
  CHECK(Connect(-1, ip_a, kPort) == absl::OkStatus());
  CHECK(Connect(-1, "127.0.0.1", kHostPort) == absl::OkStatus());
  CHECK(Connect(b.netns.get(), "10.199.0.1", kHostPort) == absl::OkStatus());

  CHECK(host.network->Detach(a.request, Soon()) == absl::OkStatus());
  CHECK(host.Leases() == 1);
  CHECK(CountVeths() == 1);
  CHECK(Connect(-1, "127.0.0.1", kHostPort).code() == absl::StatusCode::kUnavailable);
  CHECK_FALSE(absl::StrContains(Rules(), absl::StrCat(kHostPort)));
  CHECK(host.network->Detach(a.request, Soon()) == absl::OkStatus());  // again
  CHECK(UnpinNetns(a.request.netns_path).ok());

  // For the other pod, the namespace is removed before DEL.
  CHECK(absl::StrContains(Rules(), b.request.sandbox_id));
  b.server.reset();
  b.netns.reset();
  CHECK(UnpinNetns(b.request.netns_path).ok());
  CHECK(host.network->Detach(b.request, Soon()) == absl::OkStatus());
  CHECK(host.Leases() == 0);
  CHECK(base::ListDir(base::JoinPath(host.dir, "cache/results"))->empty());
  // portmap keeps its three empty CNI-HOSTPORT chains and the jumps to them for the next pod.
  // Nothing of the pods is left: not the masquerade rules of the second, either, which bridge finds
  // only by the addresses in a namespace.
  CHECK_FALSE(absl::StrContains(Rules(), a.request.sandbox_id));
  CHECK_FALSE(absl::StrContains(Rules(), b.request.sandbox_id));
}

TEST_CASE("after a reboot, without rules and namespaces, DEL frees the lease") {
  Host host;
  Pod pod(host.dir, 'c');
  pod.network = host.network->Attach(pod.request, Soon());
  REQUIRE(pod.network.ok());
  pod.netns.reset();
  REQUIRE(UnpinNetns(pod.request.netns_path).ok());
  for (const char* option : {"-F", "-X"}) {
    const linux::Command command = {
        "/usr/sbin/iptables", {"iptables", "-t", "nat", option}, {"PATH=/usr/sbin:/usr/bin"}};
    REQUIRE(linux::Run(command, "", {}).ok());
  }
  CHECK(host.network->Detach(pod.request, Soon()) == absl::OkStatus());
  CHECK(host.Leases() == 0);
}
