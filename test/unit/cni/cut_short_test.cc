// What a crispd that is killed leaves in the cache of CNI results.
#include <catch2/catch.hpp>

#include "base/file.h"
#include "cni/cache.h"
#include "cni/netns.h"
#include "cni_fixture.h"
#include "test/unit/killed_process.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

CacheEntry EntryWith(const std::string& result) {
  CacheEntry entry;
  entry.network = "net-a";
  entry.container_id = "c1";
  entry.config = R"({"name":"net-a"})";
  entry.capability_args = "{}";
  entry.result = result;
  return entry;
}

}  // namespace

TEST_CASE(
    "a cached result of a crispd that is killed is the old or the new one, and goes with DEL") {
  TempDir dir;
  const Cache cache(dir.path);
  // As an ADD does: its input, and then its result.
  const auto add = [&] {
    return cache.Write(EntryWith("")).ok() && cache.Write(EntryWith(R"({"ips":[]})")).ok();
  };
  const auto del = [&] {
    const auto found = cache.Find("c1");
    REQUIRE(found.ok());
    for (const Cache::Found& each : *found) {
      CHECK(each.entry.ok());
      if (!cache.Remove(each.path).ok()) return false;
    }
    return true;
  };
  const auto left = [&] {
    return base::ListDir(dir.path + "/results").value_or(std::vector<std::string>()).size();
  };
  const int adds = test::KillBeforeEachChange([] {}, add,
                                              [&](bool killed) {
                                                CHECK(cache.List().ok());
                                                const auto found = cache.Find("c1");
                                                REQUIRE(found.ok());
                                                if (!killed) REQUIRE(found->size() == 1);
                                                CHECK(left() == found->size());
                                                CHECK(del());
                                                CHECK(left() == 0);
                                              });
  CHECK(adds >= 6);
  test::KillBeforeEachChange([&] { REQUIRE(add()); }, del,
                             [&](bool) {
                               CHECK(del());
                               CHECK(left() == 0);
                             });
}

TEST_CASE("a pin whose file is left without its mount is removed, whenever that is cut short") {
  TempDir dir;
  const std::string pin = dir.path + "/cni-1";
  test::KillBeforeEachChange([&] { REQUIRE(base::WriteFileAtomic(pin, "", 0).ok()); },
                             [&] { return UnpinNetns(pin).ok(); },
                             [&](bool) {
                               CHECK(UnpinNetns(pin).ok());
                               CHECK(base::ListDir(dir.path)->empty());
                             });
}
