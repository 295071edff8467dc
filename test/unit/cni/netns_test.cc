#include "cni/netns.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "cni/stand_in.h"
#include "cni_fixture.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

base::UniqueFd NewNetns() {
  base::UniqueFd fd;
  std::thread([&fd] {
    if (unshare(CLONE_NEWNET) == 0) fd = *base::Open("/proc/thread-self/ns/net", O_RDONLY);
  }).join();
  return fd;
}

ino_t InodeOf(int fd) {
  struct stat info = {};
  fstat(fd, &info);
  return info.st_ino;
}

// The lines of /proc/self/mountinfo whose fifth column is `path`.
std::vector<std::string> MountsAt(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream mounts(*base::ReadFile("/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream columns(line);
    std::string column;
    for (int i = 0; i < 5; ++i) columns >> column;
    if (column == path) lines.push_back(line);
  }
  return lines;
}

// OK when 127.0.0.1 accepts a packet.
absl::Status SendOverLoopback() {
  const base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (sendto(fd.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 1) {
    return base::Errno("sendto", "");
  }
  return absl::OkStatus();
}

std::string TextOf(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  const bool v6 = address->sa_family == AF_INET6;
  const void* const bytes =
      v6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr)
         : &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  return inet_ntop(address->sa_family, bytes, text, sizeof(text));
}

// "eth0 10.1.2.3 255.255.255.0"; empty for what is not an IP address.
std::string Shown(const ifaddrs& one) {
  const bool ip = one.ifa_addr != nullptr &&
                  (one.ifa_addr->sa_family == AF_INET || one.ifa_addr->sa_family == AF_INET6);
  if (!ip) return "";
  return absl::StrCat(one.ifa_name, " ", TextOf(one.ifa_addr), " ", TextOf(one.ifa_netmask));
}

}  // namespace

TEST_CASE("PinNetns keeps the namespace below a shared mount; UnpinNetns is idempotent") {
  TempDir dir;
  const std::string pins = base::JoinPath(dir.path, "netns");
  const base::UniqueFd netns = NewNetns();
  const auto path = PinNetns(netns.get(), "cni-1", pins);
  INFO(path.status().message());
  REQUIRE(path.ok());
  CHECK(*path == base::JoinPath(pins, "cni-1"));
  CHECK(InodeOf(OpenNetns(*path)->get()) == InodeOf(netns.get()));
  REQUIRE(MountsAt(pins).size() == 1);
  CHECK(Contains(MountsAt(pins)[0], "shared:"));

  CHECK(PinNetns(netns.get(), "cni-1", pins).status().code() == absl::StatusCode::kAlreadyExists);
  CHECK(PinNetns(netns.get(), "cni-2", pins).ok());
  CHECK(MountsAt(pins).size() == 1);

  CHECK(UnpinNetns(*path).ok());
  CHECK(UnpinNetns(*path).ok());
  CHECK(MountsAt(*path).empty());
  CHECK(UnpinNetns(base::JoinPath(pins, "cni-2")).ok());
  CHECK(base::ListDir(pins)->empty());
  umount2(pins.c_str(), MNT_DETACH);
}

TEST_CASE("concurrent first calls of PinNetns mount the directory once") {
  TempDir dir;
  const std::string pins = base::JoinPath(dir.path, "netns");
  const base::UniqueFd netns = NewNetns();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] { (void)PinNetns(netns.get(), std::to_string(i), pins); });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(MountsAt(pins).size() == 1);
  CHECK(base::ListDir(pins)->size() == 8);
  for (int i = 0; i < 8; ++i) {
    CHECK(OpenNetns(base::JoinPath(pins, std::to_string(i))).ok());
    CHECK(UnpinNetns(base::JoinPath(pins, std::to_string(i))).ok());
  }
  umount2(pins.c_str(), MNT_DETACH);
}

TEST_CASE("a pin replaced by a plain file is not a namespace, and is removed") {
  TempDir dir;
  const std::string path = dir.Write("cni-1", "");
  CHECK(OpenNetns(path).status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(UnpinNetns(path).ok());
  CHECK(OpenNetns(path).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("PinNetns refuses bad names and descriptors and leaves nothing") {
  TempDir dir;
  const base::UniqueFd netns = NewNetns();
  for (const char* name : {"", ".", "..", "a/b", "../x"}) {
    CHECK_FALSE(PinNetns(netns.get(), name, dir.path).ok());
  }
  const base::UniqueFd other = *base::Open("/proc/self/ns/uts", O_RDONLY);
  CHECK_FALSE(PinNetns(other.get(), "x", dir.path).ok());
  CHECK_FALSE(PinNetns(-1, "x", dir.path).ok());
  CHECK(base::ListDir(dir.path)->empty());
}

TEST_CASE("a namespace that no descriptor is left for is not taken for one that is gone") {
  const std::string own = "/proc/self/ns/net";
  CHECK(FindNetns(own)->valid());
  for (const char* gone : {"", "/none", "/dev/null"}) {
    const auto found = FindNetns(gone);
    REQUIRE(found.ok());
    CHECK_FALSE(found->valid());
  }
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none = {3, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto refused = FindNetns(own);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(absl::IsResourceExhausted(refused.status()));
}

TEST_CASE("NetnsPath is a uuid made of the beginning of the sandbox id") {
  CHECK(NetnsPath("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef") ==
        "/run/netns/cni-01234567-89ab-cdef-0123-456789abcdef");
}

TEST_CASE("RunInNetns enters the namespace, but not on the calling thread") {
  const base::UniqueFd netns = NewNetns();
  const base::UniqueFd own = *base::Open("/proc/thread-self/ns/net", O_RDONLY);
  ino_t inside = 0;
  const absl::Status status = RunInNetns(netns.get(), [&]() -> absl::Status {
    inside = InodeOf(base::Open("/proc/thread-self/ns/net", O_RDONLY)->get());
    return absl::AbortedError("told");
  });
  CHECK(status == absl::AbortedError("told"));
  CHECK(inside == InodeOf(netns.get()));
  CHECK(InodeOf(base::Open("/proc/thread-self/ns/net", O_RDONLY)->get()) == InodeOf(own.get()));
  bool ran = false;
  CHECK_FALSE(RunInNetns(-1, [&]() {
                ran = true;
                return absl::OkStatus();
              }).ok());
  CHECK_FALSE(ran);
}

TEST_CASE("SetLoopbackUp makes 127.0.0.1 usable, and traffic is counted") {
  const base::UniqueFd netns = NewNetns();
  CHECK_FALSE(RunInNetns(netns.get(), SendOverLoopback).ok());
  REQUIRE(SetLoopbackUp(netns.get()).ok());
  REQUIRE(SetLoopbackUp(netns.get()).ok());
  const auto before = InterfacesIn(netns.get());
  REQUIRE(RunInNetns(netns.get(), SendOverLoopback).ok());
  const auto after = InterfacesIn(netns.get());
  REQUIRE((before.ok() && after.ok()));
  REQUIRE(after->at(0).name == "lo");
  CHECK(after->at(0).tx_packets > before->at(0).tx_packets);
  CHECK(after->at(0).tx_bytes > before->at(0).tx_bytes);
}

TEST_CASE("ParseInterfaceStats reads /proc/net/dev and refuses other text") {
  const auto stats = ParseInterfaceStats(
      "Inter-|   Receive                         |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
      "    lo:       0       0    0    0    0     0          0         0        0       0    0    0"
      "    0     0       0          0\n"
      "eth0:18446744073709551615 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
  REQUIRE(stats.ok());
  REQUIRE(stats->size() == 2);
  CHECK(stats->at(0).name == "lo");
  const InterfaceStats& eth0 = stats->at(1);
  CHECK(eth0.name == "eth0");
  CHECK(eth0.rx_bytes == 18446744073709551615u);
  CHECK(eth0.rx_packets == 2);
  CHECK(eth0.rx_errors == 3);
  CHECK(eth0.rx_dropped == 4);
  CHECK(eth0.tx_bytes == 9);
  CHECK(eth0.tx_packets == 10);
  CHECK(eth0.tx_errors == 11);
  CHECK(eth0.tx_dropped == 12);
  CHECK_FALSE(ParseInterfaceStats("a\nb\nlo: 1 2\n").ok());
  CHECK_FALSE(ParseInterfaceStats("a\nb\nlo 1 2 3 4 5 6 7 8 9 10 11 12\n").ok());
}

// A container with NET_ADMIN chooses the names, and with one that is not UTF-8 kubelet could not
// read the answer with the statistics of all pods.
TEST_CASE("an interface whose name is not UTF-8 has statistics under a name that is") {
  const auto stats =
      ParseInterfaceStats("a\nb\neth\xff\x01: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
  REQUIRE(stats.ok());
  REQUIRE(stats->size() == 1);
  CHECK(stats->at(0).name == "eth\\xff\\x01");
  CHECK(stats->at(0).rx_bytes == 1);
}

TEST_CASE("a stand-in has the pod's interface with its addresses, and none of the host") {
  const auto netns = MakeStandIn("eth0", {"10.199.0.7/24", "10.199.1.7", "fd00:c::7/64"});
  INFO(netns.status());
  REQUIRE(netns.ok());
  std::vector<std::string> found;
  REQUIRE(RunInNetns(netns->get(), [&] {
            ifaddrs* all = nullptr;
            if (getifaddrs(&all) != 0) return base::Errno("getifaddrs", "");
            for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
              const std::string shown = Shown(*one);
              if (!shown.empty()) found.push_back(shown);
            }
            freeifaddrs(all);
            return absl::OkStatus();
          }).ok());
  std::sort(found.begin(), found.end());
  CHECK(found == std::vector<std::string>{"eth0 10.199.0.7 255.255.255.0",
                                          "eth0 10.199.1.7 255.255.255.255",
                                          "eth0 fd00:c::7 ffff:ffff:ffff:ffff::"});
  for (const char* wrong : {"", "eth0", "10.1.2.3/33", "10.1.2.3/x", "fd00::1/129"}) {
    CHECK(absl::IsInvalidArgument(MakeStandIn("eth0", {wrong}).status()));
  }
}
