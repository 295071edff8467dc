// What an engine that is killed leaves in the directory of the leases.
#include <catch2/catch.hpp>

#include "base/file.h"
#include "cni/native/host_local.h"
#include "native_fixture.h"
#include "test/unit/killed_process.h"

using namespace crisp;
using namespace crisp::cni::native;

TEST_CASE("leases of an engine that is killed are found by their pod, and none is without one") {
  LeaseDir dir;
  base::Json json = BridgeJson();
  json["ipam"]["ranges"] =
      base::Json::parse(R"([[{"subnet": "10.1.0.0/29"}], [{"subnet": "fd00::/125"}]])");
  HostLocalConf conf = DecodeBridge(json.dump())->ipam;
  conf.directory = dir.path + "/networks/n";
  const LeaseOwner pod = {"pod1", "eth0"};
  const LeaseOwner other = {"pod2", "eth0"};
  const std::vector<std::string> kept = {"last_reserved_ip.0", "last_reserved_ip.1", "lock"};
  const auto clear = [&] { REQUIRE(base::RemoveTree(dir.path + "/networks").ok()); };
  const auto reserve = [&] {
    const auto leases = Reserve(conf, pod, Soon());
    return leases.ok() && leases->size() == 2;
  };
  const auto release = [&] { return Release(conf, pod, Soon()).ok(); };
  // DEL gives back all there is, and both pods can have as many addresses as ever.
  const auto check_all_free = [&] {
    REQUIRE(release());
    REQUIRE(FindLeases(conf, pod, Soon())->empty());
    for (const LeaseOwner& each : {pod, other}) REQUIRE(Reserve(conf, each, Soon())->size() == 2);
    for (const LeaseOwner& each : {pod, other}) REQUIRE(Release(conf, each, Soon()).ok());
    CHECK(*base::ListDir(conf.directory) == kept);
  };
  const int taken = test::KillBeforeEachChange(clear, reserve, [&](bool killed) {
    const auto found = FindLeases(conf, pod, Soon());
    REQUIRE(found.ok());
    CHECK((killed || found->size() == 2));
    check_all_free();
  });
  CHECK(taken > 10);
  const int given = test::KillBeforeEachChange(
      [&] {
        clear();
        REQUIRE(reserve());
      },
      release, [&](bool) { check_all_free(); });
  CHECK(given >= 2);
}

TEST_CASE("a lease that a power cut has left empty is given back by the DEL of its pod alone") {
  LeaseDir dir;
  base::Json json = BridgeJson();
  json["ipam"]["ranges"] = base::Json::parse(R"([[{"subnet": "10.1.0.0/29"}]])");
  HostLocalConf conf = DecodeBridge(json.dump())->ipam;
  conf.directory = dir.path;
  const LeaseOwner pod = {"pod1", "eth0"};
  for (const char* name : {"10.1.0.2", "10.1.0.3"}) dir.Write(name, "");
  dir.Write("10.1.0.4", "pod2\r\neth0");
  // Whose they are, nobody knows.
  REQUIRE(Release(conf, pod, Soon()).ok());
  CHECK(dir.Read("10.1.0.2").empty());
  // The cached result of the pod's ADD knows it of one.
  const std::vector<Address> known = {*ParseAddress("10.1.0.2"), *ParseAddress("10.1.0.4"),
                                      *ParseAddress("10.1.0.5")};
  REQUIRE(Release(conf, pod, Soon(), known).ok());
  CHECK(dir.Read("10.1.0.2") == "missing");
  CHECK(dir.Read("10.1.0.3").empty());
  CHECK(dir.Read("10.1.0.4") == "pod2\r\neth0");
}
