// What the engine inside crispd leaves of a pod that is gone, while something may still hold the
// pod's namespace. As native_network_test.cc. Needs root.
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cni/netns.h"
#include "integration/cni_host.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

constexpr char kBridge[] = R"({"cniVersion": "1.0.0", "name": "crt", "plugins": [
    {"type": "loopback"},
    {"type": "bridge", "bridge": "crt0", "isGateway": true,
     "ipam": {"type": "host-local", "dataDir": "$DIR/leases",
              "ranges": [[{"subnet": "10.199.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]})";

// Nobody answers, and once the link is collected there is no route.
bool IsUnreachable(const std::string& seen) {
  return absl::StrContains(seen, "EINPROGRESS") || absl::StrContains(seen, "UNREACH");
}

}  // namespace

TEST_CASE("a pod that is gone cannot use its address while something holds its namespace") {
  Host host(kBridge);
  Machine gone(host.dir, "a1");
  Machine other(host.dir, "a2");
  const auto added = host.Add(By::kEngine, gone);
  const auto stays = host.Add(By::kEngine, other);
  REQUIRE((added.ok() && stays.ok()));
  gone.Serve();
  other.Serve();
  CHECK(SeenFrom(other.netns.get(), added->ips[0], gone) == stays->ips[0]);
  CHECK(host.Del(By::kEngine, gone).ok());
  // Down and up, which makes a bridge look at its port anew.
  CHECK(OutputIn(gone.netns.get(), absl::StrCat("ip addr add ", added->ips[0],
                                                "/24 dev eth0; ip link set eth0 down; "
                                                "ip link set eth0 up"))
            .empty());
  for (const Machine* pod : {&gone, &other}) OutputIn(pod->netns.get(), "ip neigh flush all");
  CHECK(IsUnreachable(SeenFrom(other.netns.get(), added->ips[0], gone)));
  CHECK(IsUnreachable(SeenFrom(gone.netns.get(), stays->ips[0], other)));
}

TEST_CASE("the port of a pod is closed also when the pin of its namespace is lost") {
  Host host(kBridge);
  Machine gone(host.dir, "a1");
  Machine other(host.dir, "a2");
  const auto added = host.Add(By::kEngine, gone);
  REQUIRE((added.ok() && host.Add(By::kEngine, other).ok()));
  gone.Serve();
  CHECK(SeenFrom(other.netns.get(), added->ips[0], gone) == "10.199.0.3");
  REQUIRE(UnpinNetns(gone.request.netns_path).ok());
  CHECK(host.Del(By::kEngine, gone).ok());
  OutputIn(other.netns.get(), "ip neigh flush all");
  CHECK(absl::StrContains(Output("bridge link"), "state disabled"));
  CHECK(IsUnreachable(SeenFrom(other.netns.get(), added->ips[0], gone)));
  host.Stop();
  CHECK(CountVeths() == 1);
}

TEST_CASE("a device that a pod has marked as given up is not deleted") {
  Host host(kBridge);
  Machine pod(host.dir, "a1");
  REQUIRE(host.Add(By::kEngine, pod).ok());
  // What "ip link set group" does inside stays with a device that returns to the host.
  const std::string mark = absl::StrCat(0x63727370);
  CHECK(Output(absl::StrCat("ip link add lent0 type bridge; ip link set lent0 group ", mark,
                            "; ip link add lent1 type veth peer lent2; ip link set lent1 group ",
                            mark))
            .empty());
  CHECK(host.Del(By::kEngine, pod).ok());
  CHECK(CountVeths() == 1);
  host.Stop();
  CHECK(CountVeths() == 0);
  for (const char* link : {"lent0", "lent1"})
    CHECK(absl::StrContains(Output(absl::StrCat("ip link show ", link)), link));
}
