#include "cni/native/host_local.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>

#include "base/file.h"
#include "native_fixture.h"
#include "test/unit/cni/no_descriptors.h"

using namespace crisp;
using namespace crisp::cni::native;

namespace {

HostLocalConf Conf(const LeaseDir& dir, const char* ranges) {
  base::Json json = BridgeJson();
  json["ipam"]["ranges"] = base::Json::parse(ranges);
  HostLocalConf conf = DecodeBridge(json.dump())->ipam;
  conf.directory = dir.path;
  return conf;
}

LeaseOwner Pod(const std::string& id) { return {id, "eth0"}; }

// The addresses that an ADD gets, or its error.
std::string Add(const HostLocalConf& conf, const std::string& id) {
  const auto leases = Reserve(conf, Pod(id), Soon());
  if (!leases.ok()) return std::string(leases.status().message());
  std::string text;
  for (const Lease& lease : *leases) text += (text.empty() ? "" : " ") + ToString(lease.address);
  return text;
}

bool SetImmutable(const std::string& path, bool on) {
  const auto file = base::Open(path, O_RDONLY);
  int flags = 0;
  if (!file.ok() || ioctl(file->get(), FS_IOC_GETFLAGS, &flags) != 0) return false;
  flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  return ioctl(file->get(), FS_IOC_SETFLAGS, &flags) == 0;
}

constexpr char kSmall[] = R"([[{"subnet": "10.1.0.0/29"}]])";  // .2 to .6 beside the gateway

}  // namespace

TEST_CASE("a lease is the file that host-local makes") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  const auto leases = Reserve(conf, Pod("pod1"), Soon());
  REQUIRE(leases.ok());
  REQUIRE(leases->size() == 1);
  CHECK(ToString(leases->front().address) == "10.1.0.2/29");
  CHECK(ToString(leases->front().gateway) == "10.1.0.1");
  CHECK(dir.Read("10.1.0.2") == "pod1\r\neth0");
  CHECK(dir.Read("last_reserved_ip.0") == "10.1.0.2");
  CHECK(*base::ListDir(dir.path) ==
        std::vector<std::string>{"10.1.0.2", "last_reserved_ip.0", "lock"});
}

TEST_CASE("addresses are given in host-local's order: on from the last one, then from the start") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  CHECK(Add(conf, "a") == "10.1.0.2/29");
  CHECK(Add(conf, "b") == "10.1.0.3/29");
  REQUIRE(Release(conf, Pod("a"), Soon()).ok());
  CHECK(Add(conf, "c") == "10.1.0.4/29");  // .2 is free, but was used lately
  dir.Write("last_reserved_ip.0", "10.1.0.6");
  CHECK(Add(conf, "d") == "10.1.0.2/29");          // around, without the gateway
  dir.Write("last_reserved_ip.0", "192.168.0.1");  // not of this range: it has been changed
  CHECK(Add(conf, "e") == "10.1.0.5/29");
  CHECK(Add(conf, "f") == "10.1.0.6/29");
  CHECK(Add(conf, "g").find("no IP addresses available in range set: 10.1.0.1-10.1.0.6") !=
        std::string::npos);
}

TEST_CASE("a set of ranges is one after the other, and each set gives one address") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, R"([
      [{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.10"},
       {"subnet": "10.2.0.0/24", "rangeStart": "10.2.0.7", "rangeEnd": "10.2.0.8",
        "gateway": "10.2.0.7"}],
      [{"subnet": "fd00::/64"}]])");
  CHECK(Add(conf, "a") == "10.1.0.9/24 fd00::2/64");
  CHECK(Add(conf, "b") == "10.1.0.10/24 fd00::3/64");
  CHECK(Add(conf, "c") == "10.2.0.8/24 fd00::4/64");
  CHECK(dir.Read("last_reserved_ip.0") == "10.2.0.8");
  CHECK(dir.Read("last_reserved_ip.1") == "fd00::4");
  CHECK(dir.Read("fd00::4") == "c\r\neth0");
  // The first set is used up: nothing of the second one is kept either.
  CHECK(Add(conf, "d").find("failed to allocate for range 0") != std::string::npos);
  REQUIRE(Release(conf, Pod("b"), Soon()).ok());
  CHECK(Add(conf, "e") == "10.1.0.10/24 fd00::5/64");
}

TEST_CASE("an ADD that fails keeps no address") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, R"([[{"subnet": "10.1.0.0/24"}],
      [{"subnet": "10.2.0.0/30"}]])");
  CHECK(Add(conf, "a") == "10.1.0.2/24 10.2.0.2/30");
  CHECK(Add(conf, "b").find("failed to allocate for range 1") != std::string::npos);
  CHECK(dir.Read("10.1.0.3") == "missing");
  CHECK(FindLeases(conf, Pod("b"), Soon())->empty());
  REQUIRE(FindLeases(conf, Pod("a"), Soon())->size() == 2);
}

TEST_CASE("an address that is asked for is given once, from its set") {
  LeaseDir dir;
  HostLocalConf conf = Conf(dir, R"([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]])");
  conf.requested = {*ParseAddress("fd00::9")};
  CHECK(Add(conf, "a") == "10.1.0.2/24 fd00::9/64");
  CHECK(Add(conf, "b").find("requested IP address fd00::9 is not available") != std::string::npos);
  conf.requested = {*ParseAddress("10.1.0.1")};
  CHECK(Add(conf, "b").find("is subnet's gateway") != std::string::npos);
  conf.requested = {*ParseAddress("192.168.0.1")};
  CHECK(Add(conf, "b").find("failed to allocate all requested IPs: 192.168.0.1") !=
        std::string::npos);
  CHECK(FindLeases(conf, Pod("b"), Soon())->empty());
}

TEST_CASE("a second ADD of one pod is refused, and its leases stay") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  CHECK(Add(conf, "a") == "10.1.0.2/29");
  CHECK(Add(conf, "a").find("duplicate allocation is not allowed") != std::string::npos);
  CHECK(dir.Read("10.1.0.2") == "a\r\neth0");
  CHECK(dir.Read("10.1.0.3") == "missing");
}

TEST_CASE("what the plugin has leased is given back, in its old form too, and nothing else") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  dir.Write("10.1.0.2", "a\r\neth0");
  dir.Write("10.1.0.3", "a");
  dir.Write("10.1.0.4", "a\r\neth1");
  dir.Write("10.1.0.5", "ab\r\neth0");
  dir.Write("crisp-a", "a\r\neth0");  // of an ADD whose crispd was killed
  REQUIRE(FindLeases(conf, Pod("a"), Soon())->size() == 2);
  REQUIRE(Release(conf, Pod("a"), Soon()).ok());
  CHECK(*base::ListDir(dir.path) == std::vector<std::string>{"10.1.0.4", "10.1.0.5", "lock"});
  CHECK(Release(conf, Pod("a"), Soon()).ok());
}

TEST_CASE("a file that is not a lease's does not hold up ADD and DEL") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  for (const char* name : {"lock", "10.1.0.2", "last_reserved_ip.1"}) {
    REQUIRE(mkfifo(base::JoinPath(dir.path, name).c_str(), 0600) == 0);
  }
  CHECK(Add(conf, "a") == "10.1.0.3/29");
  CHECK(Release(conf, Pod("a"), Soon()).ok());
  CHECK(Add(conf, "b") == "10.1.0.4/29");
  REQUIRE(unlink(base::JoinPath(dir.path, "last_reserved_ip.0").c_str()) == 0);
  REQUIRE(mkfifo(base::JoinPath(dir.path, "last_reserved_ip.0").c_str(), 0600) == 0);
  CHECK(Add(conf, "c").find("ENXIO") != std::string::npos);
  CHECK(dir.Read("10.1.0.3") == "missing");
}

TEST_CASE("a second ADD does not change a lease that an ADD which was killed has left") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  dir.Write("crisp-a", "a\r\neth0");
  REQUIRE(link(base::JoinPath(dir.path, "crisp-a").c_str(),
               base::JoinPath(dir.path, "10.1.0.2").c_str()) == 0);
  struct stat before, after;
  REQUIRE(stat(base::JoinPath(dir.path, "10.1.0.2").c_str(), &before) == 0);
  CHECK(Add(conf, "a").find("duplicate allocation is not allowed") != std::string::npos);
  REQUIRE(stat(base::JoinPath(dir.path, "10.1.0.2").c_str(), &after) == 0);
  CHECK(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
  CHECK(dir.Read("10.1.0.2") == "a\r\neth0");
}

TEST_CASE("a lease that cannot be removed does not keep the others") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  dir.Write("10.1.0.2", "a\r\neth0");
  dir.Write("10.1.0.3", "a\r\neth0");
  const std::string first = base::JoinPath(dir.path, "10.1.0.2");
  if (!SetImmutable(first, true)) {
    printf("skipped: a lease that cannot be removed: no such files can be made here\n");
    return;
  }
  CHECK(Release(conf, Pod("a"), Soon()).ok());
  CHECK(SetImmutable(first, false));
  CHECK(dir.Read("10.1.0.2") == "a\r\neth0");
  CHECK(dir.Read("10.1.0.3") == "missing");
}

TEST_CASE("drafts that a crispd which was killed has left go with the next look at the leases") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  for (const auto& look : std::vector<std::function<void()>>{
           [&] { CHECK(FindLeases(conf, Pod("a"), Soon())->empty()); },
           [&] { CHECK(Release(conf, Pod("a"), Soon()).ok()); },
           [&] { CHECK(Add(conf, "b") == "10.1.0.2/29"); }}) {
    dir.Write("crisp-a", "");
    dir.Write("crisp-b", "b\r\neth0");
    look();
    CHECK(dir.Read("crisp-a") == "missing");
    CHECK(dir.Read("crisp-b") == "missing");
  }
}

TEST_CASE("a lease that no descriptor is left for is not taken for one of another pod") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  CHECK(Add(conf, "a") == "10.1.0.2/29");
  const auto is_refused = [](const absl::Status& status) {
    return absl::IsResourceExhausted(status);
  };
  CHECK(HoldsWhenOthersTakeDescriptors([&] {
    return is_refused(Release(conf, Pod("a"), Soon())) &&
           is_refused(FindLeases(conf, Pod("a"), Soon()).status()) &&
           is_refused(Reserve(conf, Pod("b"), Soon()).status());
  }));
  CHECK(*base::ListDir(dir.path) ==
        std::vector<std::string>{"10.1.0.2", "last_reserved_ip.0", "lock"});
  CHECK(Release(conf, Pod("a"), Soon()).ok());
  CHECK(dir.Read("10.1.0.2") == "missing");
}

TEST_CASE("DEL without a directory of leases makes none") {
  LeaseDir dir;
  HostLocalConf conf = Conf(dir, kSmall);
  conf.directory += "/none";
  CHECK(Release(conf, Pod("a"), Soon()).ok());
  CHECK(FindLeases(conf, Pod("a"), Soon())->empty());
  CHECK(base::ListDir(dir.path)->empty());
}

TEST_CASE("a lock that another process holds ends the wait at the deadline") {
  LeaseDir dir;
  const HostLocalConf conf = Conf(dir, kSmall);
  auto lock = base::Open(base::JoinPath(dir.path, "lock"), O_RDONLY | O_CREAT, 0750);
  REQUIRE(flock(lock->get(), LOCK_EX) == 0);
  const base::Deadline deadline = base::Deadline::In(absl::Milliseconds(50));
  CHECK(absl::IsDeadlineExceeded(Reserve(conf, Pod("a"), deadline).status()));
  CHECK(absl::IsDeadlineExceeded(Release(conf, Pod("a"), deadline)));
  CHECK(*base::ListDir(dir.path) == std::vector<std::string>{"lock"});
  lock->reset();
  CHECK(Add(conf, "a") == "10.1.0.2/29");
}
